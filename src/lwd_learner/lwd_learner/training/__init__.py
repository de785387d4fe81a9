"""Training: SFT -> offline RL -> online RL, over a replay that grows while it runs."""
