"""What is written: evaluations, completions, verifications and their statistics."""
