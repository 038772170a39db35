"""Infant-inspired vision-language models in JAX."""
