"""The attacks: one pure function a file, all of the same signature."""
