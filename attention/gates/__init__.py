"""How much of each feature passes: one file per gate."""
