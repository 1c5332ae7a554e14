"""What is done to trained runs: sweep, theorem, checks, study."""
