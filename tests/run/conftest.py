"""A particle stack small enough to run the whole job on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import make_poses
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.runner import run_isac
from isac2.stacks import write_mrcs

COUNT, BOX = 72, 32


@dataclass(frozen=True)
class TinyStack:
    """Two blobs with handles, turned, shifted and mirrored, in noise."""

    path: Path
    label: NDArray[np.int64]
    settings: Settings


@pytest.fixture(scope="session")
def tiny_images() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (COUNT, BOX, BOX) and which of the two objects each shows."""
    random = np.random.default_rng(11)
    noise = random.standard_normal((2, BOX, BOX)).astype(np.float32)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    objects = tanh_low_pass(noise, 0.15, 0.1) * (np.hypot(x, y) < 9)
    label = np.arange(COUNT) % 2
    poses = make_poses(
        random.uniform(0, 360, COUNT),
        random.uniform(-1, 1, COUNT),
        random.uniform(-1, 1, COUNT),
        random.integers(0, 2, COUNT),
    )
    images = apply_poses((objects / objects.std()).astype(np.float32)[label], poses)
    images += 0.4 * random.standard_normal(images.shape).astype(np.float32)
    return images, label


@pytest.fixture(scope="session")
def tiny(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_images: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> TinyStack:
    """The stack on disk, and settings that make a run of it short."""
    path = tmp_path_factory.mktemp("tiny") / "particles.mrcs"
    images, label = tiny_images
    write_mrcs(path, images, 2.0)
    settings = Settings(
        radius=10,
        images_per_group=18,
        minimum_group_size=4,
        target_radius=8,
        target_box_size=24,
        alignment_rounds=11,
        stability_alignments=3,
        maximum_rounds=2,
        highest_frequency=0.3,
        seed=5,
        threads=2,
    )
    return TinyStack(path, label, settings)


@pytest.fixture(scope="session")
def finished(tiny: TinyStack, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run; tests only read it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return run_isac(tiny.path, folder, tiny.settings, SilentDisplay())
