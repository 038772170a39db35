"""Code that exported folders take along; nothing here imports it."""
