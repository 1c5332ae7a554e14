"""Shards that are ready to train on: their format, manifest and loader."""
