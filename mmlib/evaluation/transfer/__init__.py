"""Perturbations made for one run and played to the others: a matrix of what is left of mAP."""
