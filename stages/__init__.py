"""One thin script a stage: parse params, call mmlib, write outs whole."""
