"""A small world after a run: particles of three views, two runs of them, and newer particles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.runner import run_isac
from isac2.simulate import PRESETS, simulate_stack

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


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Simulate the particles and run both runs."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("world")
    tiny = PRESETS["tiny"].with_changes(views=3, junk_fraction=0.05)
    simulate_stack(tiny.with_changes(particles=200), folder / "particles")
    simulate_stack(tiny.with_changes(particles=100, seed=2), folder / "new")
    made = World(folder)
    run_isac(made.star, made.run, SETTINGS, SilentDisplay())
    run_isac(made.star, made.other_run, replace(SETTINGS, seed=2), SilentDisplay())
    return made
