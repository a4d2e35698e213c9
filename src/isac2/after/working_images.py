"""Working images of a run's particles followed by new ones, prepared once each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.errors import RunError
from isac2.files import atomic_path, write_text_atomic
from isac2.run.job import Job
from isac2.run.prepare import WorkingStack, open_working_stack, prepare_working_stack
from isac2.stacks import Stack

__all__ = ["extend_working_images"]

_BLOCK_IMAGES = 2048


def extend_working_images(
    job: Job,
    old_path: Path,
    fresh: Stack,
    shifts: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> None:
    """Write the working images of all particles of a job to its directory.

    Parameters
    ----------
    job : Job
        Of the old particles followed by the new ones.
    old_path : pathlib.Path
        Working images of the old ones; where they have been removed, all are prepared.
    fresh : Stack
        The new particles.
    shifts : float64 (n, 2)
        Of all particles, input px.
    weights : float64 or None
        How power spectra are equalised.
    """
    settings, target = job.settings, job.directory.working_images
    before, box = len(job.stack) - len(fresh), settings.working_box_size
    old = job.ranks.each(lambda: _opened(old_path, before, box))
    if old is None:
        prepare_working_stack(
            job.stack, shifts, settings, target, job.workers, job.tell_images, weights
        )
        return
    path = job.directory.state / "new_images.npy"
    prepare_working_stack(
        fresh, shifts[before:], settings, path, job.workers, job.tell_images, weights
    )
    job.first(lambda: _write_joined(target, old, path))


def _write_joined(target: Path, old: WorkingStack, new_path: Path) -> None:
    """Write old and new images as one file, and remove that of the new ones."""
    new = open_working_stack(new_path)
    with atomic_path(target) as temporary:
        _join(temporary, old.images, new.images)
        unusable = np.concatenate([old.unusable, new.unusable + len(old.images)])
        text = "".join(f"{number}\n" for number in unusable)
        write_text_atomic(target.with_name(f"{target.stem}.unusable.txt"), text)
    for file in (new_path, new_path.with_name(f"{new_path.stem}.unusable.txt")):
        file.unlink(missing_ok=True)


def _opened(path: Path, count: int, box: int) -> WorkingStack | None:
    """Open the old working images; None where they are gone or not those of the run."""
    try:
        old = open_working_stack(path)
    except RunError:
        return None
    return old if old.images.shape == (count, box, box) else None


def _join(path: Path, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    """Write two stacks of images, one after the other, as one ``.npy`` file."""
    shape = (len(first) + len(second), *first.shape[1:])
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in (first, second):
            for start in range(0, len(images), _BLOCK_IMAGES):
                block = images[start : start + _BLOCK_IMAGES]
                file.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
