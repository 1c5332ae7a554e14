"""Measurements beside named peers; each module is run with `python -m`."""
