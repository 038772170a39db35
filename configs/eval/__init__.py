"""Which checkpoints to benchmark, on what, and how."""
