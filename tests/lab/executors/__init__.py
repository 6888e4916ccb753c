"""Evidence of the executors."""
