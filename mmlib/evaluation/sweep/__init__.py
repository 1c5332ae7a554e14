"""The attack stage: every clip under every threat at every budget, in chunks, resumable."""
