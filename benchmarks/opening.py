"""How long opening and writing a star of a million particles takes, and how much memory.

Run: python benchmarks/opening.py [particles]. It needs some 700 MB in the temporary folder.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from isac2.stacks import open_stack, write_mrcs, write_particles_star, write_star

PER_MICROGRAPH = 500


def make_star(folder: Path, count: int) -> None:
    """Write a star like RELION's after a classification, and the small stacks that it names."""
    numbers = np.arange(count)
    micrograph = numbers // PER_MICROGRAPH
    names = [f"mic_{number:05d}" for number in range(micrograph[-1] + 1)]
    (folder / "Extract").mkdir()
    for name in names:
        pixels = np.zeros((PER_MICROGRAPH, 4, 4), np.int8)
        write_mrcs(folder / "Extract" / f"{name}.mrcs", pixels, 1.0)
    random = np.random.default_rng(1)
    labels = ["CoordinateX", "CoordinateY", "DefocusU", "DefocusV", "DefocusAngle", "PhaseShift"]
    labels += ["CtfMaxResolution", "CtfFigureOfMerit", "AutopickFigureOfMerit", "AnglePsi"]
    labels += ["OriginXAngst", "OriginYAngst"]
    columns = {
        "rlnImageName": np.array(
            [
                f"{n % PER_MICROGRAPH + 1:06d}@Extract/{names[m]}.mrcs"
                for n, m in zip(numbers, micrograph, strict=True)
            ]
        ),
        "rlnMicrographName": np.array([f"MotionCorr/job002/{names[m]}.mrc" for m in micrograph]),
        "rlnOpticsGroup": np.ones(count, np.int64),
        "rlnClassNumber": random.integers(1, 51, count),
        **{f"rln{label}": random.uniform(0, 2e4, count).round(6) for label in labels},
    }
    optics = {
        "rlnOpticsGroup": [1],
        "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1],
        "rlnImagePixelSize": [1.0],
    }
    write_star(folder / "particles.star", {"optics": optics, "particles": columns})


def main() -> None:
    """Measure in a process of its own, so that the memory is that of reading alone."""
    if sys.argv[1:2] == ["open"]:
        start = time.perf_counter()
        stack = open_stack(Path(sys.argv[2]) / "particles.star")
        opened = time.perf_counter()
        write_particles_star(
            Path(sys.argv[2]) / "out.star", stack, {"rlnAnglePsi": np.zeros(len(stack))}
        )
        written = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(stack.describe())
        print(f"opened in {opened - start:.1f} s, written in {written - opened:.1f} s")
        print(f"time on the processor {time.process_time():.1f} s, both together")
        print(f"largest memory {peak:.2f} GiB")
        return
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        make_star(Path(folder), int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
        subprocess.run([sys.executable, __file__, "open", folder], check=True)


if __name__ == "__main__":
    main()
