"""Attacks on any callable model: pure functions from a batch to an adversarial batch."""
