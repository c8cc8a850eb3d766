"""What is read: curves, missing completions, runs, and estimates of posted counts."""
