"""Training: settings, objectives, the step, the optimizer and checkpoints."""
