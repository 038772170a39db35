"""Looks at shards: counts, lengths, words, pictures, tokens, and how rows fill."""
