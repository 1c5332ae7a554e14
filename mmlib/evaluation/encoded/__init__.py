"""Clips as the files that hold them: read from what was fetched, written, and cut again."""
