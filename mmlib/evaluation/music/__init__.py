"""Adversarial music: a synthesiser's piece, composed to make a tagger fail where it is played."""
