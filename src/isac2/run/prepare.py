"""The working images of a run: prepared block by block into one memory-mapped file.

Blocks have a fixed number of images, whatever the workers, and nothing in the preparation of one
image depends on another; so the file is the same, byte by byte, for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isac2.errors import InputError, RunError
from isac2.files import atomic_path, write_text_atomic
from isac2.images.backends import open_image_backend
from isac2.images.preparation import (
    PreparationParameters,
    PreparationPlan,
    equalising_weights,
    plan_preparation,
)
from isac2.run.options import Settings
from isac2.stacks.relion import NUMBERS
from isac2.stacks.stack import Stack
from isac2.workers import Workers

__all__ = [
    "WorkingStack",
    "check_stack",
    "measure_spectrum_weights",
    "open_working_stack",
    "preparation_parameters",
    "prepare_for_prealignment",
    "prepare_working_stack",
]

Notify = Callable[[int, int], None]
Result = TypeVar("Result")

_BLOCK_BYTES = 16 * 2**20
"""Pixels read at a time by one worker."""

_BLOCKS_A_STEP = 8
"""Blocks for each worker between two reports of progress."""

_MOST_BLOCKS_A_STEP = 128
"""Blocks in memory at the same time; more than a disk can take meanwhile."""


@dataclass(frozen=True)
class WorkingStack:
    """Prepared images, one row for each image of the input stack.

    Attributes
    ----------
    path : pathlib.Path
        The file, in NumPy's ``.npy`` format.
    images : float32 (n, m, m)
        Memory-mapped, read-only.
    unusable : int64 (k,)
        Ids of the images that are constant or hold no numbers; their rows are zero.
    """

    path: Path
    images: NDArray[np.float32]
    unusable: NDArray[np.int64]


def preparation_parameters(settings: Settings) -> PreparationParameters:
    """Return what a run's settings say about preparation."""
    filament = settings.filament_width > 0
    return PreparationParameters(
        radius=settings.radius,
        target_radius=settings.target_radius,
        box=settings.working_box_size,
        filament_width=settings.filament_width if filament else None,
        mask_filaments=not settings.filament_mask_ignore,
    )


def check_stack(stack: Stack, settings: Settings) -> None:
    """Check that a stack has what the settings ask for.

    Raises
    ------
    InputError
        The particle or the filament does not fit the box, or the metadata that ``--CTF`` or a
        filament's mask needs are missing.
    """
    largest = stack.box_size // 2 - 1
    if settings.radius > largest:
        raise InputError(
            f"--radius={settings.radius} does not fit the images of {stack.path}, which are "
            f"{stack.box_size} px wide: give at most {largest}, or extract larger boxes."
        )
    metadata = stack.metadata
    if settings.phase_flip:
        missing = [NUMBERS[name] for name in metadata.missing_ctf_columns()]
        if not np.isfinite(metadata.pixel_size_in_angstroms).all():
            missing.append("rlnImagePixelSize")
        if missing:
            raise InputError(
                f"--CTF needs what {stack.path} does not say of all its particles "
                f"(RELION's {', '.join(missing)}): estimate the CTF first, or leave --CTF out."
            )
        if metadata.phase_flipped.any():
            raise InputError(
                f"--CTF would flip the phases of {stack.path} a second time, which says that they "
                "are flipped already: leave --CTF out."
            )
    if settings.filament_width > 0:
        _check_filaments(stack, settings)


def _check_filaments(stack: Stack, settings: Settings) -> None:
    """Check that filaments have a direction, and that there is something beside them."""
    if not np.isfinite(stack.metadata.psi_prior_in_degrees).all():
        raise InputError(
            f"--filament_width needs the in-plane angle of each segment (rlnAnglePsiPrior), which "
            f"{stack.path} does not have for all of them: add it, or leave --filament_width out."
        )
    # What lies beside the filament in the working image is what it is normalised by.
    working = int((settings.working_box_size - 2) / settings.shrink_ratio)
    largest = min(stack.box_size - 2, working)
    if settings.filament_width > largest:
        raise InputError(
            f"--filament_width={settings.filament_width} leaves nothing beside the filaments in "
            f"the images of {stack.path}: give at most {largest}, or larger boxes (extracted, and "
            "--target_nx)."
        )


def prepare_working_stack(
    stack: Stack,
    shifts: ArrayLike,
    settings: Settings,
    path: str | os.PathLike[str],
    workers: Workers,
    notify: Notify | None = None,
    spectrum_weights: NDArray[np.float64] | None = None,
) -> WorkingStack:
    """Write the images that the method works on.

    Parameters
    ----------
    stack : Stack
        N images; `check_stack` has passed.
    shifts : (N, 2)
        What moves each particle to the centre, input pixels (x, y): the pre-alignment's result, or
        zero.
    settings : Settings
    path : path-like
        File to write, ``.npy``; it is there whole or not at all. Beside it
        ``<name>.unusable.txt`` lists the ids of images that cannot be used.
    workers : Workers
    notify : callable, optional
        Told (images done, images in all) now and then.
    spectrum_weights : float64 (n // 2 + 1,), optional
        From `measure_spectrum_weights`, for phase plate data.

    Returns
    -------
    WorkingStack

    Raises
    ------
    RunError
        The file does not fit the disk.
    """
    plan = plan_preparation(stack.box_size, preparation_parameters(settings), spectrum_weights)
    return _write_prepared(stack, shifts, settings, plan, path, (workers, notify))


def prepare_for_prealignment(
    stack: Stack,
    settings: Settings,
    path: str | os.PathLike[str],
    workers: Workers,
    notify: Notify | None = None,
    spectrum_weights: NDArray[np.float64] | None = None,
    target_radius: int | None = None,
) -> WorkingStack:
    """Write the images for the pre-alignment: whole, so that it can look for particles far out.

    As `prepare_working_stack`, but nothing is shifted, cut, padded or masked, and the particle may
    get another radius (px) than in the working images.
    """
    parameters = replace(
        preparation_parameters(settings),
        target_radius=target_radius or settings.target_radius,
        box=None,
        mask_filaments=False,
    )
    plan = plan_preparation(stack.box_size, parameters, spectrum_weights)
    no_shifts = np.zeros((len(stack), 2))
    return _write_prepared(stack, no_shifts, settings, plan, path, (workers, notify))


def measure_spectrum_weights(
    stack: Stack, workers: Workers, notify: Notify | None = None
) -> NDArray[np.float64]:
    """Read a stack once to see how its power spectrum is to be equalised (``--VPP``).

    Returns
    -------
    float64 (n // 2 + 1,)
        See `isac2.images.preparation.equalising_weights`. Images that cannot be used count for
        nothing.
    """
    from isac2.images.spectra import rotational_power_spectrum

    def amplitudes(block: range) -> tuple[NDArray[np.float64], int]:
        images = stack.read(np.arange(block.start, block.stop))
        lowest, highest = images.min(axis=(1, 2)), images.max(axis=(1, 2))
        usable = np.isfinite(lowest) & np.isfinite(highest) & (lowest < highest)
        spectra = rotational_power_spectrum(images[usable])
        return np.sqrt(spectra).sum(axis=0), int(usable.sum())

    sums = list(_map_blocks(stack, amplitudes, (workers, notify)))
    total = np.sum([amplitude for amplitude, _ in sums], axis=0)
    return equalising_weights(total, sum(count for _, count in sums))


def open_working_stack(path: str | os.PathLike[str]) -> WorkingStack:
    """Open what `prepare_working_stack` or `prepare_for_prealignment` has written.

    Raises
    ------
    RunError
        The file is not one of ours.
    """
    target = Path(path)
    try:
        images = np.load(target, mmap_mode="r", allow_pickle=False)
        ids = [int(line) for line in _unusable_path(target).read_text("utf-8").split()]
    except (OSError, ValueError) as error:
        raise RunError(
            f"{target} or the list of unusable images beside it cannot be read ({error}): remove "
            "both, so that the images are prepared again."
        ) from error
    if images.dtype != np.float32 or images.ndim != 3:
        raise RunError(f"{target} holds no working images: remove it, so that they are prepared.")
    return WorkingStack(target, images, np.array(ids, dtype=np.int64))


@dataclass(frozen=True)
class _BlockPreparation:
    """Prepares a block of the stack and returns the images and which of them can be used."""

    stack: Stack
    shifts: NDArray[np.float64]
    settings: Settings
    plan: PreparationPlan

    def __call__(self, block: range) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        rows = np.arange(block.start, block.stop)
        metadata = self.stack.metadata
        return open_image_backend(self.settings.device).prepare(
            self.stack.read(rows),
            self.shifts[rows],
            self.plan,
            metadata.ctf_parameters(rows) if self.settings.phase_flip else None,
            metadata.pixel_size_in_angstroms[rows],
            # RELION's psi turns the filament onto the x axis, so the filament lies at minus psi.
            -metadata.psi_prior_in_degrees[rows],
        )


def _write_prepared(
    stack: Stack,
    shifts: ArrayLike,
    settings: Settings,
    plan: PreparationPlan,
    path: str | os.PathLike[str],
    work: tuple[Workers, Notify | None],
) -> WorkingStack:
    """Prepare all images into a new file, which only one of the workers opens."""
    target, workers = Path(path), work[0]
    offsets = np.ascontiguousarray(np.broadcast_to(shifts, (len(stack), 2)), dtype=np.float64)
    prepare = _BlockPreparation(stack, offsets, settings, plan)
    shape = (len(stack), plan.box, plan.box)
    usable = np.ones(len(stack), np.bool_)
    with ExitStack() as held:
        files: list[NDArray[np.float32]] = []
        workers.once(lambda: files.append(held.enter_context(_new_file(target, shape))))

        def keep(block: range, done: tuple[NDArray[np.float32], NDArray[np.bool_]]) -> None:
            files[0][block.start : block.stop] = done[0]
            usable[block.start : block.stop] = done[1]

        for part in _parts(stack, work):
            workers.collect(prepare, part, keep)

        def finish() -> None:
            files.clear()
            text = "".join(f"{number}\n" for number in np.flatnonzero(~usable))
            write_text_atomic(_unusable_path(target), text)
            held.close()

        workers.once(finish)
    return open_working_stack(target)


@contextmanager
def _new_file(target: Path, shape: tuple[int, int, int]) -> Iterator[NDArray[np.float32]]:
    """Yield the map of a new ``.npy`` file, which is there when the block ends well.

    Its space on the disk is taken first: writing to a map of a file without space would kill the
    process instead of raising an error.
    """
    with atomic_path(target) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        size = temporary.stat().st_size
        try:
            with temporary.open("r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise RunError(
                f"The working images need {size / 2**30:.2f} GiB at {target.parent}, which could "
                f"not be had ({error.strerror}): make room there, or choose another output "
                "directory."
            ) from error
        yield array
        array.flush()


def _map_blocks(
    stack: Stack, function: Callable[[range], Result], work: tuple[Workers, Notify | None]
) -> Iterator[Result]:
    """Apply a function to ranges of images, in order, and tell how far it is."""
    for part in _parts(stack, work):
        yield from work[0].map(function, part)


def _parts(stack: Stack, work: tuple[Workers, Notify | None]) -> Iterator[list[range]]:
    """Yield lists of ranges of images, and tell how far it is when each list is done."""
    workers, notify = work
    count = len(stack)
    size = max(1, _BLOCK_BYTES // (4 * stack.box_size**2))
    blocks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    step = min(_BLOCKS_A_STEP * workers.count, _MOST_BLOCKS_A_STEP)
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        yield part
        if notify is not None:
            notify(part[-1].stop, count)


def _unusable_path(path: Path) -> Path:
    """Return where the ids of unusable images are kept."""
    return path.with_name(f"{path.stem}.unusable.txt")
