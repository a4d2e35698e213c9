"""Whether memory grows: whole runs in one process until they have had 50 generations.

Everything that a generation does is in it: sorting, tests, files, log, report. Prints the resident
memory after each run; only what is kept by mistake can make it grow, since each run is as large as
the last.

    python benchmarks/memory.py [generations]
"""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path

import numpy as np

from isac2.images.filters import tanh_low_pass
from isac2.images.transform import apply_poses
from isac2.poses import make_poses
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.record import read_record
from isac2.run.runner import run_isac
from isac2.stacks import write_mrcs

COUNT, BOX = 240, 32
WARM_RUNS = 3  # kernels are compiled or loaded, tables made, pools filled


def write_stack(path: Path) -> None:
    """Write images of three objects in noise."""
    random = np.random.default_rng(2)
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    noise = random.standard_normal((3, BOX, BOX)).astype(np.float32)
    objects = tanh_low_pass(noise, 0.15, 0.1) * (np.hypot(x, y) < 9)
    turned = make_poses(random.uniform(0, 360, COUNT), 0, 0, random.integers(0, 2, COUNT))
    images = apply_poses((objects / objects.std()).astype(np.float32)[np.arange(COUNT) % 3], turned)
    images += 0.7 * random.standard_normal(images.shape).astype(np.float32)
    write_mrcs(path, images, 2.0)


def resident_mebibytes() -> float:
    """Memory of this process that is in use now, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not say how much memory is in use")


def main(generations: int) -> None:
    """Run until there have been so many generations after the warm-up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_stack(folder / "stack.mrcs")
        done, seed, measured = 0, 0, []
        while done < generations:
            settings = Settings(
                radius=10,
                images_per_group=24,
                minimum_group_size=12,
                target_radius=8,
                target_box_size=24,
                alignment_rounds=11,
                stability_alignments=3,
                maximum_rounds=2,
                highest_frequency=0.3,
                seed=seed,
                threads=1,
            )
            directory = run_isac(
                folder / "stack.mrcs", folder / f"run{seed}", settings, SilentDisplay()
            )
            seed += 1
            if seed <= WARM_RUNS:
                continue
            record = read_record(directory.run_json)
            done += len(record.generations)
            measured.append(resident_mebibytes())
            gc.collect()
            print(
                f"{done:3d} generations: {measured[-1]:6.1f} MiB, {len(gc.get_objects())} objects; "
                f"{record.classes} classes in the last run",
                flush=True,
            )
        growth = np.polyfit(np.arange(len(measured)), measured, 1)[0] * len(measured) / done
        print(f"growth: {1024 * growth:.0f} KiB a generation")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
