"""What leaves the service as a folder: a training for verl, and a checkpoint with its model card."""
