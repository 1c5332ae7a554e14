"""Runs on clips that nobody attacked: corrupted, encoded again, out of time."""
