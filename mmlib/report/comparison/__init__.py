"""Runs compared in pairs on the same clips, and the paper's claims put to that test."""
