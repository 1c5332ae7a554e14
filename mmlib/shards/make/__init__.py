"""How shards are made: survey, leaks, selection, manifest (stage shard)."""
