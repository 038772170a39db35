"""A general-purpose corpus of captions made into one for a small child (BabyVLM V1)."""
