"""A run on disk: options, preparation, restart, parallel map, progress."""
