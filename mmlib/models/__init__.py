"""Nets for audio, video and both: `build` makes one, `Model` is the interface they share."""
