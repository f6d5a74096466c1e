"""What every stage runs on: files, errors, processes, GPUs, progress."""
