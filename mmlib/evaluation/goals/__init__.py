"""Targeted attacks on runs: which tags can be hidden, which injected, at what budget."""
