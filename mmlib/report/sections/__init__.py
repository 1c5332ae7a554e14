"""The sections of the page, each from the artefacts that are there, or none."""
