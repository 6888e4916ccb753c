"""The models of the tasks, as Flax modules; the functions that make them check that their parts go together."""
