"""Averages that RELION computes from a run's export, against ours.

Run: python benchmarks/relion_averages.py RUN, with RELION installed. Every class is split by
mirror, so that psi and origin alone are exact, and averaged by RELION from the poses in the run's
own particles.star. Compared by their correlation inside the particle's disc, class by class:

run          The averages that the run has written, with those of `relion_reconstruct` from the
             input's images, phase-flipped and normalised as the run did it, the two mirrors
             brought together, resampled and low-passed as the run's averages are.
run, 0.3     The same, both low-passed once more at 0.3 / px, beyond which averages of so few
             images hold noise and the interpolation of it.
reconstruct  The plain averages of the input's images as they are, at full size, with the whole band
             up to Nyquist: ours (interpolated on twice the sampling) with `relion_reconstruct`'s.
stack, 0.25  Ours with the mean of the images that `relion_stack_create --apply_transformation`
             moves. It interpolates linearly between pixels, which damps all that is fine; so both
             are low-passed at 0.25 / px.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.images.preparation import PreparationParameters, plan_preparation, prepare_block
from isac2.images.resample import crop_or_pad, resample
from isac2.images.transform import average_in_poses
from isac2.poses import PoseArray
from isac2.stacks import Stack, WriteOptions, open_stack, write_mrcs, write_stack
from isac2.stacks.selection import accounted_images, split_mirrored_classes

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Correlations of one class, by the names above."""

    name: str
    members: int
    correlation: float


def compare_run(run: Path, folder: Path) -> Iterator[Likeness]:
    """Let RELION average a run's classes in an empty folder, and compare."""
    options = json.loads((run / "run.json").read_text("utf-8"))["options"]
    stack = split_mirrored_classes(accounted_images(open_stack(run / "particles.star")))
    yield from _compare_averages_of_the_run(run, folder, stack, options)
    yield from _compare_plain_averages(folder, stack, options["radius"])


def _relion(folder: Path, command: str) -> None:
    subprocess.run(command.split(), cwd=folder, capture_output=True, check=True)


def _reconstructed(folder: Path, star: str, number: int) -> Image:
    """RELION's average of one class of a star."""
    command = f"relion_reconstruct --i {star} --o r.mrc --refdim 2 --class {number}"
    _relion(folder, command)
    average: Image = np.asarray(mrcfile.read(folder / "r.mrc"), np.float32)
    return average


def _compare_averages_of_the_run(
    run: Path, folder: Path, stack: Stack, options: dict[str, Any]
) -> Iterator[Likeness]:
    ours = open_stack(run / "class_averages.hdf").read()
    box, radius = ours.shape[-1], options["target_radius"]
    ratio = radius / options["radius"]
    _write_prepared(folder, stack, options)
    numbers = stack.metadata.class_number
    inside = disc_mask(box, radius)
    for index, own in enumerate(ours):
        sums, members = np.zeros((stack.box_size, stack.box_size)), 0
        for number in (2 * index + 1, 2 * index + 2):  # the direct members, and the mirrored ones
            count = int((numbers == number).sum())
            if count:
                theirs = _reconstructed(folder, "prepared.star", number)
                sums += count * (theirs if number % 2 else np.roll(theirs[:, ::-1], 1, axis=1))
                members += count
        average = (sums / members).astype(np.float32)
        same = crop_or_pad(resample(average[None], ratio), box)
        same = tanh_low_pass(same, options["FH"], options["FF"])[0]
        yield Likeness("run", members, _correlation(same, own, inside))
        pair = tanh_low_pass(np.stack([same, own]), 0.3, 0.2)
        yield Likeness("run, 0.3", members, _correlation(pair[0], pair[1], inside))


def _write_prepared(folder: Path, stack: Stack, options: dict[str, Any]) -> None:
    """Write the input's images, phase-flipped and normalised, with the poses of the export."""
    data, radius = stack.metadata, options["radius"]
    plan = plan_preparation(stack.box_size, PreparationParameters(radius, radius, stack.box_size))
    images = np.empty((len(stack), stack.box_size, stack.box_size), np.float32)
    for start in range(0, len(stack), 256):
        rows = np.arange(start, min(start + 256, len(stack)))
        images[rows], _ = prepare_block(
            stack.read(rows),
            np.zeros((len(rows), 2)),
            plan,
            data.ctf_parameters(rows) if options["CTF"] else None,
            data.pixel_size_in_angstroms[rows],
        )
    write_mrcs(folder / "prepared.mrcs", images, stack.pixel_size_in_angstroms)
    prepared = open_stack(folder / "prepared.mrcs")
    prepared.metadata = data
    write_stack(folder / "prepared.star", prepared)


def _compare_plain_averages(folder: Path, stack: Stack, radius: float) -> Iterator[Likeness]:
    write_stack(folder / "export.star", stack, WriteOptions(copy_pixels=True))
    _relion(folder, "relion_stack_create --i export.star --o moved --apply_transformation")
    moved = open_stack(folder / "moved.star")
    poses, numbers = stack.metadata.poses, stack.metadata.class_number
    assert poses is not None
    inside = disc_mask(stack.box_size, radius)
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        ours = _band_limited_average(stack.read(rows), poses[rows])
        theirs = _reconstructed(folder, "export.star", int(number))
        whole = _correlation(_within_nyquist(theirs), _within_nyquist(ours), inside)
        yield Likeness("reconstruct", len(rows), whole)
        pair = tanh_low_pass(np.stack([moved.read(rows).mean(axis=0), ours]), 0.25, 0.2)
        yield Likeness("stack, 0.25", len(rows), _correlation(pair[0], pair[1], inside))


def _band_limited_average(images: Image, poses: PoseArray) -> Image:
    """Average in poses, interpolating where the images are sampled twice as finely."""
    finer = poses.copy()
    finer["tx"] *= 2
    finer["ty"] *= 2
    fine = average_in_poses(resample(images, 2.0), finer)
    average: Image = crop_or_pad(resample(fine[None], 0.5), images.shape[-1])[0]
    return average


def _within_nyquist(image: Image) -> Image:
    """Leave out the corners of Fourier space, which no image keeps when it is turned."""
    spectrum = np.fft.rfft2(image)
    box = image.shape[-1]
    spectrum[np.hypot(np.fft.fftfreq(box)[:, None], np.fft.rfftfreq(box)) >= 0.5] = 0
    back: Image = np.fft.irfft2(spectrum, image.shape).astype(np.float32)
    return back


def _correlation(first: Image, second: Image, inside: NDArray[np.bool_]) -> float:
    return float(np.corrcoef(first[inside], second[inside])[0, 1])


def main() -> None:
    """Compare and print."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for row in compare_run(Path(sys.argv[1]), Path(folder)):
            print(f"{row.name:12} {row.members:5d} images  {row.correlation:.5f}")
            found.setdefault(row.name, []).append(row.correlation)
    for name, values in found.items():
        print(f"{name:12} lowest of {len(values)}: {min(values):.5f}, mean {np.mean(values):.5f}")


if __name__ == "__main__":
    main()
