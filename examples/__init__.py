"""Adapters for public models, one file each, to use as they are or to start from."""
