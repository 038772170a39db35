"""Checkpoints of other libraries, read and written; `convert.py` is the command."""
