"""pass@k, done right: unbiased estimates and reward transforms for evaluation and for training."""
