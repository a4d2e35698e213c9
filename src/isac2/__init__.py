"""Validated 2D class averages by Iterative Stable Alignment and Clustering (ISAC)."""

__version__ = "0.1.0"
