"""The directory of a run, and the checkpoints in it."""
