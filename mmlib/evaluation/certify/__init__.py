"""Certificates of runs: what no attack can do, by randomised smoothing and by bounds on heads."""
