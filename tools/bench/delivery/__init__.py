"""The uploader against a real S3 server on loopback: how fast, and what a killed one sends again."""
