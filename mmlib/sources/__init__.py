"""Where clips come from: one module a source, each with `clip_list` (see `base`)."""
