"""What a run is asked to learn."""
