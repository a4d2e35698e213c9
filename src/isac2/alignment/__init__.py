"""The similarity of many images to many references, and reference-free alignment."""
