"""Several attacks on the same clips at the same budgets and steps: what each adds to PGD."""
