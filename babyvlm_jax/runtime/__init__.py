"""What every command shares: flags, errors, processes, locks, logs and files."""
