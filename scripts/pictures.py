"""Draw the pictures of `docs/pictures` from the class averages of finished runs.

    python scripts/pictures.py gallery RUN/ordered_class_averages.hdf PNG --columns 8
    python scripts/pictures.py beside RUN/class_averages.hdf OTHER/class_averages.hdf PNG

`beside` draws each class of the first file above the class of the second that shares the most
particles with it, turned to match it; grey where none is left. What remains comes last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isac2.alignment.search import align_to_assigned
from isac2.alignment.space import SearchSpace
from isac2.images.montage import montage
from isac2.images.transform import apply_poses
from isac2.stacks import open_stack, read_eman_headers
from isac2.workers import SerialWorkers

_SPACE = SearchSpace(radius=29, x_range=6.0, y_range=6.0)  # of both programs' working images
_SMALLEST_SHARE = 0.2  # of the members of the smaller class; fewer are no match
_SCALE = 2


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    gallery = verbs.add_parser("gallery")
    beside = verbs.add_parser("beside")
    gallery.add_argument("averages", type=Path)
    beside.add_argument("averages", type=Path)
    beside.add_argument("others", type=Path)
    for verb in (gallery, beside):
        verb.add_argument("png", type=Path)
        verb.add_argument("--columns", type=int, default=8)
    given = parser.parse_args()
    if given.verb == "gallery":
        sheet = montage(open_stack(given.averages).read(slice(None)), given.columns)
    else:
        sheet = side_by_side(given.averages, given.others, given.columns)
    picture = Image.fromarray(sheet)
    size = (picture.width * _SCALE, picture.height * _SCALE)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    # 64 grey values look the same and take half the space
    picture.point([value & 0xFC for value in range(256)]).save(given.png, optimize=True)


def side_by_side(first: Path, second: Path, columns: int) -> NDArray[np.uint8]:
    """Rows of the first file's averages, each row above its matches of the second file."""
    ours, theirs = (open_stack(path).read(slice(None)) for path in (first, second))
    partner = matches(shared_members(first, second))
    found = np.flatnonzero(partner >= 0)
    below = np.full_like(ours, np.nan)
    below[found] = turned_to_match(theirs[partner[found]], ours[found])
    left = np.setdiff1d(np.arange(len(theirs)), partner)
    above = np.concatenate([ours, np.full((len(left), *ours.shape[1:]), np.nan, np.float32)])
    below = np.concatenate([below, theirs[left]])
    rows = []
    for start in range(0, len(above), columns):
        pair = [_row(stack[start : start + columns], columns) for stack in (above, below)]
        rows += [pair[0], np.full((1, pair[0].shape[1]), 255, np.uint8), pair[1]]
        rows.append(np.full((8, pair[0].shape[1]), 255, np.uint8))
    return np.concatenate(rows[:-1])


def shared_members(first: Path, second: Path) -> NDArray[np.float64]:
    """Share of the smaller class's members that two classes have in common, (K, L)."""
    ids = [[np.asarray(h["members"]) for h in read_eman_headers(p)] for p in (first, second)]
    return np.array(
        [[len(np.intersect1d(a, b)) / min(len(a), len(b)) for b in ids[1]] for a in ids[0]]
    )


def matches(share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Partner of each row, the largest shares first; -1 for none."""
    partner = np.full(len(share), -1)
    for place in np.argsort(-share, axis=None, kind="stable"):
        row, column = np.unravel_index(place, share.shape)
        if share[row, column] < _SMALLEST_SHARE:
            break
        if partner[row] < 0 and column not in partner:
            partner[row] = column
    return partner


def turned_to_match(
    averages: NDArray[np.float32], targets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Averages rotated, mirrored and shifted so that they fit their targets best."""
    rows, centres = np.arange(len(averages)), np.zeros((len(averages), 2))
    found = align_to_assigned(averages, rows, centres, targets, rows, _SPACE, SerialWorkers(), 0.2)
    return apply_poses(averages, found.poses)


def _row(images: NDArray[np.float32], columns: int) -> NDArray[np.uint8]:
    """One line of a montage, white where there is no image."""
    line = montage(images, columns)
    width = images.shape[-1] + 2
    for number in np.flatnonzero(np.isnan(images[:, 0, 0])):
        line[:, number * width : (number + 1) * width - 2] = 225
    return line


if __name__ == "__main__":
    main()
