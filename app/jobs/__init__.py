"""Jobs: submitted over REST, taken by workers, each write of a result fenced by the job's attempt."""
