"""Averages that RELION computes from a run's export, against ours of the same images.

Run: python benchmarks/relion_averages.py RUN RADIUS, with RELION installed; RADIUS in pixels of the
input. Every class is split by mirror, so that psi and origin alone are exact, then averaged by
`relion_reconstruct` (in Fourier space) and by `relion_stack_create --apply_transformation` (in real
space), and compared inside the particle's disc: as they are, and low-passed as ISAC's averages are.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from isac2.images.filters import tanh_low_pass
from isac2.images.masks import disc_mask
from isac2.images.transform import average_in_poses
from isac2.stacks import WriteOptions, open_stack, write_stack
from isac2.stacks.selection import accounted_images, split_mirrored_classes

Image = NDArray[np.float32]


def relion(folder: Path, command: str) -> None:
    """Run a program of RELION in a folder."""
    subprocess.run(command.split(), cwd=folder, capture_output=True, check=True)


def likeness(first: Image, second: Image, disc: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the correlation in the disc, as they are and low-passed at 0.3 / px."""
    pairs = [(first, second)]
    low_passed = tanh_low_pass(np.stack([first, second]), 0.3, 0.2)
    pairs.append((low_passed[0], low_passed[1]))
    a, b = (float(np.corrcoef(one[disc], two[disc])[0, 1]) for one, two in pairs)
    return a, b


def main() -> None:
    """Compare and print."""
    run, radius = Path(sys.argv[1]), float(sys.argv[2])
    stack = accounted_images(open_stack(run / "particles.star"))
    stack = split_mirrored_classes(stack)
    poses, numbers = stack.metadata.poses, stack.metadata.class_number
    assert poses is not None
    disc = disc_mask(stack.box_size, radius) > 0
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_stack(folder / "export.star", stack, WriteOptions(copy_pixels=True))
        relion(folder, "relion_stack_create --i export.star --o moved --apply_transformation")
        moved = open_stack(folder / "moved.star")
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            ours = average_in_poses(stack.read(rows), poses[rows])
            ours = ours.reshape(stack.box_size, -1)
            relion(
                folder,
                f"relion_reconstruct --i export.star --o r.mrc --refdim 2 --class {number}",
            )
            fourier = likeness(mrcfile.read(folder / "r.mrc"), ours, disc)
            real = likeness(moved.read(rows).mean(axis=0), ours, disc)
            found.append((*fourier, *real))
            print(f"class {number:4d}  {len(rows):5d} images", *(f"{v:.5f}" for v in found[-1]))
    print("lowest                    ", *(f"{v:.5f}" for v in np.min(found, axis=0)))
    print("columns: reconstruct raw, low-passed; stack_create raw, low-passed")


if __name__ == "__main__":
    main()
