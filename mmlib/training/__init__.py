"""The training loop, plain and blended objectives (stages train and blend)."""
