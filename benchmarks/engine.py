"""How fast the alignment engine is: pair, round, preparation and whole run, on one core.

Run: make bench, or python benchmarks/engine.py [pair round preparation agreement run threads
profile];
nothing named means the first three. (Agreement is that of the search's short cuts, at other
signal-to-noise ratios; a run takes half a minute, its profile says what that is spent on.) Times
are processor time of the measuring thread, so that a busy machine counts less; beside each stands
the machine's own rate of large float32 matrix products, measured in the same process just before
and after.
"""

from __future__ import annotations

import os

# Before anything loads a linear algebra library: one thread is what is measured.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends.packing import packing_of
from isac2.alignment.reference_free import ReferenceFreeAligner, ReferenceFreeSchedule
from isac2.alignment.search import align_to_assigned, angle_grid, search
from isac2.alignment.space import SearchSpace
from isac2.classes.evaluate_files import evaluate_run
from isac2.clustering.assign import assign_largest_total
from isac2.images.ctf import CtfParameters
from isac2.images.filters import end_of_pass_band, tanh_low_pass
from isac2.images.preparation import PreparationParameters, plan_preparation, prepare_block
from isac2.images.transform import average_in_poses
from isac2.poses import PoseArray
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.parallel import open_workers
from isac2.run.runner import run_isac
from isac2.simulate import Recipe, simulate_stack
from isac2.stacks import open_stack
from isac2.workers import SerialWorkers, Workers

RADIUS, BOX, IMAGES, REFERENCES, GROUP = 29, 76, 10_000, 250, 100
THREADED = 4096  # images that threads share
FALLOFF = 0.2
LOOK_EVERY = 0.005  # seconds


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the least processor time of several calls, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times)


def product_rate() -> float:
    """Return the rate of large float32 matrix products, 10^9 operations a second."""
    a = np.ones((1024, 1024), np.float32)
    return 2 * 1024**3 / seconds(lambda: a @ a, 5) / 1e9


def memory_rate() -> float:
    """Return the rate at which large arrays are copied, GB read and written a second."""
    a = np.ones(2**25, np.float32)
    b = np.empty_like(a)
    return 2 * a.nbytes / seconds(lambda: np.copyto(b, a), 5) / 1e9


def noisy_images(
    folder: Path, count: int, snr: float = 0.1
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Simulate views of a particle, normalised; the images, and the view of each."""
    recipe = Recipe(count, BOX, 2.8, views=16, snr=snr, ctf=False, junk_fraction=0.0)
    stack = simulate_stack(recipe, folder / f"particles{count}-{snr}")
    pixels = open_stack(stack.star).read()
    scaled: NDArray[np.float32] = (pixels - pixels.mean()) / pixels.std()
    with np.load(stack.truth) as truth:
        return scaled, truth["view"]


def averages_of_views(
    images: NDArray[np.float32], views: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """So many averages of 40 images of one view each, aligned to one of them."""
    generator, averages = np.random.default_rng(2), []
    for number in range(count):
        members = generator.choice(np.flatnonzero(views == number % 16), 40, replace=False)
        average = images[members[:1]]
        for _ in range(3):
            reference = tanh_low_pass(average, 0.15, FALLOFF)
            aligned = align_to_assigned(
                images, members, np.zeros((40, 2)), reference, np.zeros(40, np.int64),
                SearchSpace(RADIUS), SerialWorkers(), 0.2,
            )  # fmt: skip
            average = average_in_poses(images[members], aligned.poses)[None]
        averages.append(average[0])
    return np.stack(averages)


def measure_pair(folder: Path) -> None:
    """Search all images against many references, at two low-pass cut-offs, and exhaustively."""
    search_both_ways(folder, IMAGES, REFERENCES, 0.1)


def measure_agreement(folder: Path) -> None:
    """The same at other signal-to-noise ratios, for what is found: fewer images and references."""
    for snr in (0.05, 0.2):
        print(f"agreement at SNR {snr}")
        search_both_ways(folder, IMAGES * 2 // 5, REFERENCES * 2 // 5, snr)


def search_both_ways(folder: Path, count: int, references: int, snr: float) -> None:
    """Search images against averages and against single images, with short cuts and without."""
    images, views = noisy_images(folder, count, snr)
    chosen = np.random.default_rng(1).choice(count, references, replace=False)
    kinds = {"averages": averages_of_views(images, views, references), "images": images[chosen]}
    for (kind, whole), cutoff in product(kinds.items(), (0.2, 0.3)):
        low_passed = tanh_low_pass(whole, cutoff, FALLOFF)
        print(f"pair   references are {kind}, low-passed at {cutoff:.2f}")
        fast = search_and_tell(images, low_passed, cutoff, exhaustive=False)
        slow = search_and_tell(images, low_passed, cutoff, exhaustive=True)
        best = (fast.argmax(axis=1) == slow.argmax(axis=1)).mean()
        size = count // references
        assigned = (assign_largest_total(fast, size) == assign_largest_total(slow, size)).mean()
        same = (np.abs(fast - slow) <= 1e-5 * np.abs(slow)).mean()
        # the pose against a given reference is searched exhaustively in any case
        print(
            f"       as exhaustive: best reference and its pose {best:.2%}, "
            f"assigned {assigned:.2%}, similarity {same:.2%}"
        )


def search_and_tell(
    images: NDArray[np.float32], references: NDArray[np.float32], cutoff: float, exhaustive: bool
) -> NDArray[np.float32]:
    """Time one search, and return its table."""
    rows, centres = np.arange(len(images)), np.zeros((len(images), 2))
    space, limit = SearchSpace(RADIUS), end_of_pass_band(cutoff, FALLOFF)
    before, start = product_rate(), time.thread_time()
    table = search(images, rows, centres, references, space, SerialWorkers(), limit, exhaustive)
    cost = 1e6 * (time.thread_time() - start) / table.size
    rate = (before + product_rate()) / 2
    words = f"{'exhaustive' if exhaustive else 'search':10} {cost:6.2f} us a pair   ({rate:4.0f})"
    if exhaustive:
        done = operations_of_a_pair(space, limit) / cost / 1e3
        words += f"   {done:.0f} GFLOP/s, {done / rate:.0%} of that, sampling included in the time"
    print(f"       {words}")
    return table


def operations_of_a_pair(space: SearchSpace, limit: float) -> float:
    """Floating point operations of an exhaustive pair: products over rings, sums over angles."""
    geometry = space.geometry(limit)
    shifts, grid = len(space.shifts()), angle_grid(geometry.n_orders)
    products = shifts * 4 * packing_of(geometry).size
    angles = 2 * shifts * len(grid.padded_angles) * 4 * geometry.n_orders
    return float(products + angles)


def measure_round(folder: Path) -> None:
    """Align a group reference-free: five runs of thirty rounds."""
    images, _ = noisy_images(folder, GROUP)
    aligner = ReferenceFreeAligner(
        SearchSpace(RADIUS), ReferenceFreeSchedule(30, 0.45, FALLOFF, 90.0)
    )
    rows, centres = np.arange(GROUP), np.zeros((GROUP, 2))

    def run() -> None:
        generators = [np.random.default_rng(seed) for seed in range(5)]
        aligner.align(images, rows, centres, generators)

    before = product_rate()
    cost = 1e6 * seconds(run) / GROUP / 5 / 30
    rate = (before + product_rate()) / 2
    print(f"round  reference-free: {cost:6.2f} us an image and round   ({rate:4.0f})")


def measure_preparation(_: Path) -> None:
    """Phase-flip, shift, resample and normalise images of 256 px."""
    count = 64
    images = np.random.default_rng(1).normal(size=(count, 256, 256)).astype(np.float32)
    plan = plan_preparation(256, PreparationParameters(radius=100, target_radius=RADIUS, box=BOX))
    ctf = CtfParameters(
        *(np.full(count, value) for value in (15000.0, 14000.0, 30.0, 300.0, 2.7, 0.1, 0.0))
    )
    before = product_rate()
    cost = seconds(lambda: prepare_block(images, np.zeros((count, 2)), plan, ctf, 1.2)) / count
    rate = (before + product_rate()) / 2
    print(f"preparation: {1 / cost:6.0f} images of 256 px a second   ({rate:4.0f})")


RUN = Recipe(2000, BOX, 2.8, views=10, snr=0.2, ctf=False, junk_fraction=0.0, shift_in_pixels=2.0)
SETTINGS = Settings(radius=RADIUS, images_per_group=100, minimum_group_size=40, seed=1, threads=1)


def measure_run(folder: Path) -> None:
    """Run the whole program on 2,000 particles, twice: the first time compiles what is missing."""
    stack = simulate_stack(RUN, folder / "run")
    for number in range(2):
        out = folder / f"out{number}"
        start = time.process_time()
        run_isac(stack.star, out, SETTINGS, SilentDisplay())
        cost = time.process_time() - start
        result = evaluate_run(out, stack.truth)
        print(
            f"run    {cost:6.1f} core-seconds   ({product_rate():4.0f})   "
            f"purity {result.purity:.3f}, accounted {result.good_accounted:.1%}"
        )


def measure_threads(folder: Path) -> None:
    """Search, and align groups, with one thread and with two, by the clock, by turns."""
    images, _ = noisy_images(folder, THREADED)
    rows, centres, space = np.arange(THREADED), np.zeros((THREADED, 2)), SearchSpace(RADIUS)
    references = tanh_low_pass(images[:REFERENCES], 0.2, FALLOFF)
    aligner = ReferenceFreeAligner(space, ReferenceFreeSchedule(30, 0.25, FALLOFF, 90.0), 0.3)

    def compare(workers: Workers) -> object:
        limit = end_of_pass_band(0.2, FALLOFF)
        return search(images, rows, centres, references, space, workers, limit)

    def align(workers: Workers) -> object:
        def one(first: int) -> PoseArray:
            generators = [np.random.default_rng((first, run)) for run in range(5)]
            return aligner.align(images, rows[first : first + GROUP], centres[:GROUP], generators)

        return workers.map(one, range(0, THREADED - GROUP, GROUP))

    for name, work in {"search": compare, "reference-free": align}.items():
        took: dict[int, list[float]] = {1: [], 2: []}
        for _, threads in product(range(5), took):
            with open_workers(threads) as workers:
                start = time.perf_counter()
                work(workers)
                took[threads].append(time.perf_counter() - start)
        # the first turn may compile
        one, two = (min(times[1:]) for times in took.values())
        print(f"threads {name}: two are {one / two:.2f} times one ({one:.2f} s, {two:.2f} s)")


def measure_profile(folder: Path) -> None:
    """Say what a run of 2,000 particles spends its processor time on; kernels are compiled."""
    stack = simulate_stack(RUN, folder / "profile")
    run_isac(stack.star, folder / "before", SETTINGS, SilentDisplay())
    with Onlooker() as onlooker:
        run_isac(stack.star, folder / "profiled", SETTINGS, SilentDisplay())
    whole = sum(onlooker.spent.values())
    print(f"profile {whole:5.1f} core-seconds of one thread   ({product_rate():4.0f})")
    for work, cost in onlooker.spent.most_common():
        if cost >= 0.002 * whole:
            print(f"       {cost:6.2f} s {cost / whole:6.1%}  {work}")


class Onlooker:
    """Looks at the thread that made it, some hundred times a second: what is it doing?

    Its processor time since the last look counts for what it does now. Compiled loops let others
    run, so that they are seen like anything else.
    """

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._watched = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._watched)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        last = time.clock_gettime(self._clock)
        while not self._over.wait(LOOK_EVERY):
            work = work_of(sys._current_frames()[self._watched])
            now = time.clock_gettime(self._clock)
            self.spent[work] += now - last  # type: ignore[assignment]
            last = now


def work_of(frame: FrameType | None) -> str:
    """Name the work of a frame: the engine's three kinds, or the innermost function of isac2."""
    calls = []
    while frame is not None:
        code = frame.f_code
        room, _, module = code.co_filename.rpartition("isac2/")[2].rpartition("/")
        if "/isac2/" in code.co_filename:
            calls.append((f"{room}.{module.removesuffix('.py')}", code.co_name))
        frame = frame.f_back
    functions, modules = {function for _, function in calls}, {module for module, _ in calls}
    if functions & {"prepare", "pre_align_particles"}:
        return "pre-alignment and preparation"
    if "alignment.reference_free" in modules:
        return "reference-free alignment"
    if "alignment.search" in modules:
        return "search"
    known = [call for call in calls if call[0].startswith(("clustering.", "classes.", "run."))]
    return ": ".join((known or calls or [("other", "")])[0])


def main() -> None:
    """Measure what was asked for, and print."""
    measures: dict[str, Callable[[Path], None]] = {
        "pair": measure_pair,
        "agreement": measure_agreement,
        "round": measure_round,
        "preparation": measure_preparation,
        "run": measure_run,
        "threads": measure_threads,
        "profile": measure_profile,
    }
    wanted = sys.argv[1:] or ["pair", "round", "preparation"]
    print(f"machine: {product_rate():.0f} GFLOP/s of matrix products, {memory_rate():.1f} GB/s")
    print("in brackets: GFLOP/s of matrix products during the measurement")
    with tempfile.TemporaryDirectory() as name:
        for word in wanted:
            measures[word](Path(name))


if __name__ == "__main__":
    main()
