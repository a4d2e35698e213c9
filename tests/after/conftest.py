"""A small world after a run: particles of three views, two runs of them, and newer particles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.runner import run_isac
from isac2.simulate import PRESETS, simulate_stack
from isac2.stacks import WriteOptions, open_stack, write_stack

SETTINGS = Settings(
    radius=21,
    phase_flip=True,
    images_per_group=40,
    minimum_group_size=12,
    target_radius=14,
    target_box_size=40,
    maximum_rounds=2,
    seed=1,
    threads=2,
)


@dataclass(frozen=True)
class World:
    """Where everything is; tests only read it.

    ``particles`` and ``new`` are simulated stacks, ``classes`` and ``classes2`` runs of the first.
    """

    folder: Path

    @property
    def star(self) -> Path:
        """The particles that were classified."""
        return self.folder / "particles" / "particles.star"

    @property
    def truth(self) -> Path:
        """What is known of them."""
        return self.folder / "particles" / "truth.npz"

    @property
    def run(self) -> Path:
        """The run's directory."""
        return self.folder / "classes"

    @property
    def other_run(self) -> Path:
        """The directory of a run from another seed."""
        return self.folder / "classes2"

    @property
    def new_star(self) -> Path:
        """Particles of the same views that no run has seen."""
        return self.folder / "new" / "particles.star"

    @property
    def new_truth(self) -> Path:
        """What is known of them."""
        return self.folder / "new" / "truth.npz"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Simulate the particles and run both runs."""
    folder = tmp_path_factory.mktemp("world")
    recipe = PRESETS["tiny"].with_changes(particles=300, views=3, snr=1.0, junk_fraction=0.05)
    everything = simulate_stack(recipe, folder / "everything")
    stack = open_stack(everything.star)
    with np.load(everything.truth) as archive:
        truth = dict(archive)
    for name, rows in (("particles", np.arange(200)), ("new", np.arange(200, 300))):
        (folder / name).mkdir()
        copied = WriteOptions(copy_pixels=True)
        write_stack(folder / name / "particles.star", stack.select(rows), copied)
        some = {key: value[rows] if len(value) == 300 else value for key, value in truth.items()}
        np.savez(folder / name / "truth.npz", **some)
    made = World(folder)
    run_isac(made.star, made.run, SETTINGS, SilentDisplay())
    run_isac(made.star, made.other_run, replace(SETTINGS, seed=2), SilentDisplay())
    return made
