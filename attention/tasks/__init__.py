"""What a run learns: one file per task."""
