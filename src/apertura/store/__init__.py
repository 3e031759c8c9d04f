"""What is kept: SQL and nothing else."""
