"""A clip as a row: its columns, what became of it, and whether the splits can be trusted."""
