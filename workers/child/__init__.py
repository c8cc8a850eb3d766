"""What a job's own process does: `process` takes the job, a module for each kind does it."""
