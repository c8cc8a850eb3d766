"""What runs beside the service: verification of completions, jobs."""
