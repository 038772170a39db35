"""Looks at shards: counts, lengths, words, images, tokens, and how rows fill."""
