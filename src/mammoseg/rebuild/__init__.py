"""What decides whether something is made again: digests, kept outputs, records of jobs."""
