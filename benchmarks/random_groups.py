"""How often groups that are no class pass for one: of unrelated particles, and of noise.

python benchmarks/random_groups.py RUN [--groups 20] [--sizes 50,100,200] [--whole]

Groups are drawn from the working images of a run, as they are ("particles"), and with random phases
of their transforms ("noise": the same power, nothing that could be aligned), and put to the
test of stability. `--whole` runs the whole method on such noise and counts the classes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.confidence import test_random_groups
from isac2.clustering.generations import isac
from isac2.clustering.parameters import ClusteringParameters
from isac2.run.choices import usual_class_size
from isac2.run.directory import RunDirectory
from isac2.run.prepare import open_working_stack
from isac2.run.record import read_record
from isac2.workers import SerialWorkers

_SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--sizes", default="50,100,200")
    parser.add_argument("--whole", action="store_true")
    words = parser.parse_args()
    directory = RunDirectory(words.run)
    working = open_working_stack(directory.working_images)
    usable = np.setdiff1d(np.arange(len(working.images)), working.unusable)
    options = read_record(directory.run_json).options
    parameters = ClusteringParameters(
        radius=options["target_radius"], noise_radius=float(options["radius"])
    )
    particles = np.asarray(working.images)
    kinds = {"particles": particles, "noise": random_phases(particles)}
    print("| images | size | groups | stable: mean | most | above 30 % | above 40 % | above 60 % |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, images in kinds.items():
        for size in map(int, words.sizes.split(",")):
            one = replace(parameters, images_per_group=size)
            found = test_random_groups(
                images, usable, words.groups, one, _SEED + size, SerialWorkers()
            )
            share = found.stable / size
            above = " | ".join(str(int((share > limit).sum())) for limit in (0.3, 0.4, 0.6))
            print(
                f"| {kind} | {size} | {words.groups} | {100 * share.mean():.1f} % | "
                f"{100 * share.max():.0f} % | {above} |",
                flush=True,
            )
    if words.whole:
        print(run_on_noise(kinds["noise"][usable], parameters, options["img_per_grp"]))


def random_phases(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images of the same power spectra, with the phases of white noise."""
    random = np.random.default_rng(_SEED)
    noise = np.fft.rfft2(random.standard_normal(images.shape).astype(np.float32))
    power = np.abs(np.fft.rfft2(images))
    made = np.fft.irfft2(power * noise / np.maximum(np.abs(noise), 1e-9), s=images.shape[-2:])
    return np.asarray(made, np.float32)


def run_on_noise(
    images: NDArray[np.float32], parameters: ClusteringParameters, group_size: int
) -> str:
    """Say how many classes the whole method finds."""
    parameters = replace(
        parameters,
        images_per_group=group_size,
        minimum_group_size=usual_class_size(group_size),
    )
    state = list(isac(images, parameters, _SEED, SerialWorkers()))[-1]
    return f"the whole method on {len(images)} images of noise: {len(state.accounted)} classes"


if __name__ == "__main__":
    main()
