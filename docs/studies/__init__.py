"""Studies: what was run, what came out, and the scripts that run them again."""
