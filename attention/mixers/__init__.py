"""How a layer moves information between positions: one file per mixer."""
