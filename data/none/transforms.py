"""No transforms of one's own: what survival.code names while there are none."""
