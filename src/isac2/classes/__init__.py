"""What people do with classes after a run."""
