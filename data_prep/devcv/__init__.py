"""DevCV items from annotated frames: ten tasks, train, val and test."""
