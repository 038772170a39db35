"""Offline preparation: raw corpora to shards."""
