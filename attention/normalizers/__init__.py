"""How scores become weights: one file per normalizer."""
