"""How any stage runs and ends: errors for people, seeds, workers, progress that survives a kill."""
