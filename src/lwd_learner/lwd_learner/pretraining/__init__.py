"""Pre-training of a small policy's vision tower, which stands in for the pre-training of a real VLM."""
