"""Attacks that are to survive what happens to a clip before a model sees it: codecs above all."""
