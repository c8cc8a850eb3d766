"""The pages: what the read side says of runs and evaluations, handed to dashboards to draw."""
