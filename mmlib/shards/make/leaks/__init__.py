"""Clips that evaluation shares with training: perceptual hashes, their search, and the audit."""
