"""A run as an attack meets it: loaded, frozen, in its domain, under a threat."""
