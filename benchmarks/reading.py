"""How fast stacks are read, against `numpy.fromfile` of the same bytes.

Run: python benchmarks/reading.py [folder]. It writes some hundred megabytes into the folder (the
temporary one by default), reads them back from the page cache, and prints a table.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.stacks import open_stack, write_eman_hdf, write_mrcs, write_star

BOX, FILES, PER_FILE, REPEATS = 128, 40, 100, 15


def fastest_of_both(
    first: Callable[[], object], second: Callable[[], object]
) -> NDArray[np.float64]:
    """Return the shortest of several times of each, (2, 2): first, second; on the clock, of work.

    They are taken in turns, so that both meet the same machine, however busy it is meanwhile. Work
    is the time on all processors, which others' programs do not change much.
    """
    times = np.empty((REPEATS, 2, 2))
    for repeat in range(REPEATS):
        for column, function in enumerate((first, second)):
            clock, work = time.perf_counter(), time.process_time()
            function()
            times[repeat, column] = time.perf_counter() - clock, time.process_time() - work
    return np.asarray(times.min(axis=0))


def make_files(folder: Path) -> None:
    """Write the same images as one stack and as one stack a micrograph, with their stars."""
    random = np.random.default_rng(1)
    images = random.normal(size=(FILES * PER_FILE, BOX, BOX)).astype(np.float32)
    write_mrcs(folder / "all.mrcs", images, 1.5)
    write_mrcs(folder / "all_int8.mrcs", np.clip(images * 20, -127, 127).astype(np.int8), 1.5)
    write_eman_hdf(folder / "all.hdf", images[:500], None, 1.5)
    names = []
    for number in range(FILES):
        part = slice(number * PER_FILE, (number + 1) * PER_FILE)
        write_mrcs(folder / f"m{number}.mrcs", images[part], 1.5)
        names += [f"{slot + 1}@m{number}.mrcs" for slot in range(PER_FILE)]
    write_star(folder / "many.star", {"particles": {"rlnImageName": names}})


def main() -> None:
    """Measure and print."""
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=given[0] if given else None) as name:
        folder = Path(name)
        make_files(folder)
        count = FILES * PER_FILE
        shuffled = np.random.default_rng(2).permutation(count)
        print("share of the rate of numpy.fromfile of as many bytes:     on the clock  by work")
        for words, file, rows in (
            ("one stack, in order", "all.mrcs", np.arange(count)),
            ("one stack, shuffled", "all.mrcs", shuffled),
            ("many stacks, in order", "many.star", np.arange(count)),
            ("many stacks, shuffled", "many.star", shuffled),
            ("one int8 stack, in order", "all_int8.mrcs", np.arange(count)),
            ("EMAN2 HDF, in order", "all.hdf", np.arange(500)),
        ):
            stack = open_stack(folder / file)
            size = len(rows) * BOX * BOX
            times = fastest_of_both(
                lambda size=size: np.fromfile(  # type: ignore[misc]
                    folder / "all.mrcs", np.float32, size, offset=1024
                ),
                lambda stack=stack, rows=rows: stack.read(rows),  # type: ignore[misc]
            )
            clock, work = times[0] / times[1]
            rate = 4 * size / 1e9 / times[1, 0]
            print(f"{words:26s}  {rate:6.2f} GB/s  {clock:24.2f}  {work:10.2f}")


if __name__ == "__main__":
    main()
