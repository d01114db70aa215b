"""What lasts: the lock file and the baselines."""
