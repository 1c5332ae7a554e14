"""Runs compared in pairs on the same resampled clips, and the paper's claims put to that test."""
