"""params.yaml as frozen, checked sections, a module each; `whole` is all of it."""
