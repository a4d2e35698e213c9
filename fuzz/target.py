"""Feed bytes to one parser: `python fuzz/target.py TARGET [options of libFuzzer]`."""

from __future__ import annotations

import contextlib
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["isac2.stacks"]):
    from isac2.errors import InputError
    from isac2.stacks import check_stack, open_stack
    from isac2.stacks._plain_pickle import load_plain_pickle

_MOST_PIXELS = 1 << 20
_MEMORY = 1 << 30
_SUFFIX = {"star": ".star", "mrc": ".mrcs", "gz": ".mrcs.gz", "hdf": ".hdf", "cs": ".cs"}
_SUFFIX |= {"lst": ".lst", "bdb": ".bdb"}


def open_and_read(path: Path) -> None:
    """Do with a file what a user would do."""
    with contextlib.suppress(InputError):
        stack = open_stack(path)
        if stack.box_size**2 <= _MOST_PIXELS:
            stack.read([0, len(stack) - 1])
        stack.fingerprint()
    check_stack(path, read_pixels=False)


def unpickle(data: bytes) -> None:
    """Read a pickle that may only make plain data."""
    with contextlib.suppress(ValueError):
        load_plain_pickle(data)


def make_target(name: str, folder: Path) -> Callable[[bytes], None]:
    """Return the function that libFuzzer calls with bytes."""
    if name == "pickle":
        return unpickle
    path = folder / f"input{_SUFFIX[name]}"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        open_and_read(path)

    return feed


def limit_memory() -> None:
    """Let allocations beyond a gigabyte more than there is now fail."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Run one target."""
    name = sys.argv[1]
    corpus = Path(__file__).parent / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    files = [word for word in sys.argv[2:] if not word.startswith("-")]
    arguments = [sys.argv[0], *sys.argv[2:], "-timeout=10", "-max_len=20000"]
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        # Two small files that tables can name.
        (Path(folder) / "p.mrcs").write_bytes((corpus.parent / "p.mrcs").read_bytes())
        (Path(folder) / "x_4x4x1").write_bytes(bytes(192))
        target = make_target(name, Path(folder))
        atheris.Setup(arguments if files else [*arguments, str(corpus)], target)
        limit_memory()
        atheris.Fuzz()


if __name__ == "__main__":
    main()
