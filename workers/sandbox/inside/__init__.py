"""What runs inside the sandboxes. It imports the standard library alone: nothing else is there."""
