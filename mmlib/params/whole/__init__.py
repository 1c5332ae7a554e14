"""The whole of params.yaml: every section, and what must hold between them."""
