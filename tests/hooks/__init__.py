"""Python runs `sitecustomize` of this folder at its start where PYTHONPATH begins with it."""
