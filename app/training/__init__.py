"""What a training loop leaves: the groups of its steps with their credits, its metrics, its checkpoints on disk."""
