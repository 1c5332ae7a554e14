"""Mixup, adversarial training, and what guides them (stages temperature and retrain)."""
