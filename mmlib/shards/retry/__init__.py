"""Good rows of an earlier run are kept while its failures are tried again."""
