"""How raw corpora become shards."""
