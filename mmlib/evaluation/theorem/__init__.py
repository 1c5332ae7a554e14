"""Theorem 1 of the paper, measured: is fusion less robust than a part, clip by clip?

The theorem: there is a clip, and a perturbation of one modality within the radius up to which the
uni-modal model is right, that breaks the fused model. Here both models are attacked on that
modality alone, and the smallest radius that breaks each is searched for every clip. Radii found by
an attack are upper bounds: a stronger attack may find smaller ones, for either model.
"""
