"""What a training loop logs: the groups of its steps with their credits, and its metrics."""
