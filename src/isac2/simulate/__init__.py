"""Particle stacks with a known truth."""
