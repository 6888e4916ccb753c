"""Members that share one compiled program: their state, and its update."""
