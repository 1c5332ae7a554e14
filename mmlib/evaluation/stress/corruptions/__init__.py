"""Fifteen corruptions of sound and picture in five severities, drawn by code alone."""
