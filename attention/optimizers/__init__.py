"""How gradients become steps: one file per optimizer, on optax."""
