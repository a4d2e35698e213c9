"""How fast a device is, beside its own rate of matrix products, and whether it finds the same.

Run: python benchmarks/device.py --device cuda (or cuda:0, cpu, torch:cpu); --threads for several
blocks at a time, --images and --references for other sizes, --particles for a whole run of so many
(50,000 on a GPU, none elsewhere). Times are the wall's on a GPU, on the processor those of the
processor. The comparison with the CPU backend is on a part of the images.
"""

from __future__ import annotations

import os

# Before anything loads a linear algebra library: threads take blocks, not rows of a product.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.reference_free import (
    Group,
    ReferenceFreeAligner,
    ReferenceFreeSchedule,
)
from isac2.alignment.search import (
    align_to_assigned,
    angle_grid,
    reference_coefficients,
    search,
)
from isac2.alignment.space import SearchSpace
from isac2.classes.beautify import BeautifyParameters, beautify_prepared, prepare_members
from isac2.classes.evaluate_files import evaluate_run
from isac2.devices import find_device
from isac2.images.backends import open_image_backend
from isac2.images.ctf import CtfParameters
from isac2.images.filters import end_of_pass_band, tanh_low_pass
from isac2.images.preparation import PreparationParameters, plan_preparation
from isac2.images.transform import apply_poses
from isac2.poses import invert, make_poses, pixel_error
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.parallel import open_workers
from isac2.run.runner import run_isac
from isac2.simulate import Recipe, simulate_stack
from isac2.workers import SerialWorkers, Workers

RADIUS, BOX, CUTOFF, FALLOFF, SIGNAL_TO_NOISE = 29, 76, 0.2, 0.2, 0.1
ROUNDS, RUNS, GROUP, GROUPS, TOGETHER = 30, 5, 200, 8, 8
COMPARED = 512
PICKED_BOX, PICKED_RADIUS, PIXEL = 256, 100, 1.2  # of particles as they are picked
IMAGES_A_PART, PARTS = 64, 16


@dataclass(frozen=True)
class Work:
    """What is measured: images of low signal, and as many references as they have kinds."""

    device: str
    images: NDArray[np.float32]
    references: NDArray[np.float32]
    space: SearchSpace
    limit: float

    def seconds(self, function: Callable[[], object], repeats: int = 3) -> float:
        """Return the least time of several calls, after one that is not counted."""
        clock = time.perf_counter if self.device.startswith("cuda") else time.process_time
        function()
        times = []
        for _ in range(repeats):
            start = clock()
            function()
            times.append(clock() - start)
        return min(times)


def make_work(device: str, count: int, references: int) -> Work:
    """Smooth random shapes, and noisy images of them."""
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(references, BOX, BOX)).astype(np.float32)
    shapes = tanh_low_pass(noise, 0.1, FALLOFF)
    shapes /= shapes.std()
    images = generator.normal(size=(count, BOX, BOX)).astype(np.float32)
    images += np.sqrt(SIGNAL_TO_NOISE) * shapes[np.arange(count) % references]
    return Work(
        device, images, tanh_low_pass(shapes, CUTOFF, FALLOFF), SearchSpace(RADIUS, device=device),
        end_of_pass_band(CUTOFF, FALLOFF),
    )  # fmt: skip


def product_rate(work: Work) -> float:
    """Return the device's rate of large float32 matrix products, 10^9 operations a second."""
    size = 8192 if work.device.startswith("cuda") else 1024
    if work.device == "cpu":
        a: Any = np.ones((size, size), np.float32)
        return 2 * size**3 / work.seconds(lambda: a @ a, 5) / 1e9
    import torch

    device = "cpu" if work.device == "torch:cpu" else work.device
    a = torch.ones((size, size), device=device)
    # reading one value waits for all
    return 2 * size**3 / work.seconds(lambda: float((a @ a)[0, 0]), 5) / 1e9


def measure_pairs(work: Work, workers: Workers) -> None:
    """Time the whole search, and its products alone on one block."""
    rows, centres = np.arange(len(work.images)), np.zeros((len(work.images), 2))
    pairs = len(work.images) * len(work.references)

    def whole() -> None:
        search(
            work.images, rows, centres, work.references, work.space, workers, work.limit,
            exhaustive=True,
        )  # fmt: skip

    cost = work.seconds(whole)
    print(f"search    {pairs / cost / 1e6:8.3f} million pairs a second, all included")
    backend = work.space.backend
    geometry, table = work.space.geometry(work.limit), work.space.sampling_table(work.limit)
    some = rows[: backend.images_a_block]

    def bank() -> Any:
        return backend.ring_bank(work.images, some, centres[some], geometry, table)

    compared = reference_coefficients(work.references, geometry, backend)
    angles, sampled = angle_grid(geometry.n_orders), bank()
    before = product_rate(work)
    sampling = work.seconds(bank)
    cost = work.seconds(lambda: backend.find_largest(sampled, compared, angles, None))
    rate = (before + product_rate(work)) / 2
    pairs = len(some) * len(work.references)
    done = pairs * necessary_operations(work) / cost / 1e9
    print(f"sampling  {len(some) / sampling:8.0f} images a second, at all translations")
    print(
        f"products  {pairs / cost / 1e6:8.3f} million pairs a second; {done:.0f} GFLOP/s of what "
        f"is necessary, {done / rate:.0%} of the {rate:.0f} of large matrix products"
    )


def necessary_operations(work: Work) -> float:
    """Floating point operations of a pair: products over rings, sums over a quarter of the angles.

    The same for every backend; one that fills up rings with zeros, or sums at all angles by
    itself, does more.
    """
    geometry, shifts = work.space.geometry(work.limit), len(work.space.shifts())
    products = 8 * shifts * geometry.n_coefficients
    angles = 2 * shifts * 4 * geometry.n_orders * len(angle_grid(geometry.n_orders).angles)
    return float(products + angles)


def measure_rounds(work: Work, workers: Workers) -> None:
    """Align groups reference-free, one by one and several at once."""
    schedule = ReferenceFreeSchedule(ROUNDS, 0.4, FALLOFF, 90.0)
    aligner = ReferenceFreeAligner(work.space, schedule, own_weight=0.1)
    centres = np.zeros((GROUP, 2))

    def align(first: int, count: int) -> None:
        groups = [
            Group(
                (number * GROUP + np.arange(GROUP)) % len(work.images),
                centres,
                [np.random.default_rng(n) for n in range(RUNS)],
            )
            for number in range(first, first + count)
        ]
        aligner.align_groups(work.images, groups)

    on_gpu = work.device.startswith("cuda")
    for together in (1, TOGETHER) if on_gpu else (1, 2):
        batches = range(0, max(GROUPS if on_gpu else 1, workers.count) * together, together)
        cost = work.seconds(lambda: workers.map(partial(align, count=together), batches), 1)  # noqa: B023
        each = 1e6 * cost / (len(batches) * together * GROUP * ROUNDS * RUNS)
        print(
            f"round     {each:8.2f} us an image and round of reference-free alignment, {together} "
            "groups at once"
        )


def picked(count: int) -> tuple[NDArray[np.float32], CtfParameters]:
    """Noise as large as picked particles are, and CTFs."""
    images = np.random.default_rng(2).normal(size=(count, PICKED_BOX, PICKED_BOX))
    values = (np.linspace(9e3, 2e4, count), 14000.0, 30.0, 300.0, 2.7, 0.1, 0.0)
    return images.astype(np.float32), CtfParameters(*(np.asarray(value) for value in values))


def measure_preparation(work: Work, workers: Workers) -> None:
    """Phase-flip, shift, resample and normalise parts of images, here and as on the processor."""
    images, ctf = picked(IMAGES_A_PART)
    plan = plan_preparation(
        PICKED_BOX, PreparationParameters(radius=PICKED_RADIUS, target_radius=RADIUS, box=BOX)
    )
    shifts = np.random.default_rng(3).uniform(-2, 2, (IMAGES_A_PART, 2))
    given = images, shifts, plan, ctf, PIXEL
    backend = open_image_backend(work.device)
    parts = parts_on(work, workers)
    cost = work.seconds(lambda: workers.map(lambda _: backend.prepare(*given), range(parts)))
    expected, found = open_image_backend("cpu").prepare(*given)[0], backend.prepare(*given)[0]
    print(
        f"prepare   {parts * IMAGES_A_PART / cost:8.0f} images of {PICKED_BOX} px a second, not "
        f"read; {relative(found, expected):.1e} from cpu"
    )


def measure_averaging(work: Work, workers: Workers) -> None:
    """Beautify classes of two parts, without their files, here and as on the processor."""
    images, ctf = picked(2 * IMAGES_A_PART)
    random = np.random.default_rng(4)
    x, y = random.uniform(-3, 3, (2, len(images)))
    poses = make_poses(random.uniform(0, 360, len(images)), x, y, np.arange(len(images)) % 2)
    shape = tanh_low_pass(
        random.normal(size=(1, PICKED_BOX, PICKED_BOX)).astype(np.float32), 0.1, FALLOFF
    )
    images += apply_poses(np.repeat(shape / shape.std(), len(images), axis=0), invert(poses))

    def average(device: str) -> NDArray[np.float32]:
        parameters = BeautifyParameters(PICKED_RADIUS, PIXEL, device=device)
        parts = (
            prepare_members(images[start : start + IMAGES_A_PART], parameters)
            for start in range(0, len(images), IMAGES_A_PART)
        )
        return beautify_prepared(parts, poses, parameters, ctf).average

    classes = max(1, parts_on(work, workers) // 2)
    cost = work.seconds(lambda: workers.map(lambda _: average(work.device), range(classes)))
    print(
        f"beautify  {classes * len(images) / cost:8.0f} images of {PICKED_BOX} px a second, not "
        f"read; {relative(average(work.device), average('cpu')):.1e} from cpu"
    )


def parts_on(work: Work, workers: Workers) -> int:
    """How many parts are enough to be timed."""
    return PARTS if work.device.startswith("cuda") else workers.count


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Norm of the difference, over the norm."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def measure_run(work: Work, particles: int, threads: int) -> None:
    """Simulate particles, and classify them from star to report."""
    recipe = Recipe(particles, 128, 2.0, views=64, snr=0.1, junk_fraction=0.1)
    settings = Settings(
        radius=42, phase_flip=True, images_per_group=200, seed=1,
        threads=threads, device=work.device,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        stack, out = simulate_stack(recipe, Path(name) / "particles"), Path(name) / "run"
        start = time.perf_counter()
        run_isac(stack.star, out, settings, SilentDisplay())
        cost = time.perf_counter() - start
        result = evaluate_run(out, stack.truth)
    print(
        f"run       {cost:8.1f} s of the clock for {particles} particles of {recipe.box} px; "
        f"purity {result.purity:.3f}, accounted {result.good_accounted:.1%}"
    )


def compare(work: Work) -> None:
    """Hold similarities and poses against the exhaustive search of the CPU backend."""
    count = min(COMPARED, len(work.images))
    rows, centres, alone = np.arange(count), np.zeros((count, 2)), SerialWorkers()
    given = work.images, rows, centres, work.references
    known = SearchSpace(RADIUS)
    expected = search(*given, known, alone, work.limit, exhaustive=True)
    found = search(*given, work.space, alone, work.limit, exhaustive=True)
    best = expected.argmax(axis=1)
    same = (found.argmax(axis=1) == best).mean()
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    poses = [align_to_assigned(*given, best, space, alone, work.limit).poses
             for space in (known, work.space)]  # fmt: skip
    apart = pixel_error(np.stack(poses), RADIUS)
    near = (apart < 0.05) & (poses[0]["mirror"] == poses[1]["mirror"])
    print(
        f"as cpu    {same:.2%} of the best references, {near.mean():.2%} of the poses; "
        f"similarities differ by at most {worst:.1e} of the largest"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--references", type=int, default=250)
    parser.add_argument("--particles", type=int)
    words = parser.parse_args()
    work = make_work(find_device(words.device), words.images, words.references)
    particles = words.particles
    if particles is None:
        particles = 50_000 if work.device.startswith("cuda") else 0
    print(f"device    {work.device}: {len(work.images)} images, {len(work.references)} references")
    print(f"          {words.threads} threads; {len(work.space.shifts())} translations")
    with open_workers(words.threads) as workers:
        compare(work)
        measure_pairs(work, workers)
        measure_rounds(work, workers)
        measure_preparation(work, workers)
        measure_averaging(work, workers)
    if particles:
        measure_run(work, particles, words.threads)


if __name__ == "__main__":
    main()
