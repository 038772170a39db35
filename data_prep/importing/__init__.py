"""Records of other formats -> shards, in parallel, whatever their number."""
