"""Particle stacks with a known truth."""

from isac2.simulate.recipe import PRESETS, Recipe
from isac2.simulate.stack import SimulatedStack, simulate_stack

__all__ = ["PRESETS", "Recipe", "SimulatedStack", "simulate_stack"]
