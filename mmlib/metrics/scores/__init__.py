"""From a run's attacked scores to its headline figures, its classes and its curves."""
