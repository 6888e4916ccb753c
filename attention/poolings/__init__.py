"""How a sequence becomes one vector: one file per pooling."""
