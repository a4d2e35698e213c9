"""Keep the corpus in one file: `python fuzz/corpus.py pack` or `unpack`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
KEPT = Path(__file__).parent / "corpus.zip"


def pack() -> None:
    """Write all inputs into the one file; the same inputs make the same file."""
    with zipfile.ZipFile(KEPT, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(FOLDER.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(FOLDER).as_posix())
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())


def unpack() -> None:
    """Put the inputs back into their folders."""
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(FOLDER)


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]]()
