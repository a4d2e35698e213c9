"""Runs of one stack compared, and the particles on which they agree: from files to files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.after.source import open_classified_run
from isac2.classes.compare import Comparison, compare_classifications
from isac2.classes.evaluate_files import read_classification
from isac2.errors import InputError
from isac2.files import write_text_atomic
from isac2.run.directory import RunDirectory
from isac2.run.final_files import project_folder
from isac2.run.record import read_record
from isac2.run.text_tables import read_table, write_ids, write_table
from isac2.stacks import Stack, WriteOptions, open_stack, write_stack
from isac2.stacks._text import text_column
from isac2.stacks.relion import read_relion_particles
from isac2.stacks.selection import with_classes
from isac2.stacks.writing import refuse_existing

__all__ = [
    "RunsCompared",
    "compare_runs",
    "save_comparison",
    "write_consensus",
    "write_particle_table",
]


@dataclass(frozen=True)
class RunsCompared:
    """Runs and their comparison.

    Attributes
    ----------
    paths : tuple of str
    comparison : Comparison
    rand_index : float64 (R, R)
        Adjusted Rand index of each pair, over the particles that are in a class of both.
    """

    paths: tuple[str, ...]
    comparison: Comparison
    rand_index: NDArray[np.float64]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        found = self.comparison
        levels = range(1, found.runs + 1)
        return {
            "runs": list(self.paths),
            "particles": int(found.classes.shape[1]),
            "adjusted_rand_index": self.rand_index.round(6).tolist(),
            "accounted": (found.classes >= 0).sum(axis=1).tolist(),
            "good_in_at_least": {str(k): len(found.chosen(k)) for k in levels},
            "same_class_in_at_least": {str(k): len(found.chosen(k, True)) for k in levels},
            "classes": [
                {
                    "class": number + 1,
                    "size": int(size),
                    "reproducibility": round(float(share), 6),
                    "matched": [int(match) + 1 for match in found.matched[1:, number]],
                    "shared": found.shared[1:, number].round(6).tolist(),
                }
                for number, (size, share) in enumerate(
                    zip(found.sizes, found.reproducibility, strict=True)
                )
            ],
        }


def compare_runs(runs: Sequence[str | os.PathLike[str]]) -> RunsCompared:
    """Compare runs of the same stack, such as those of several seeds, with the first of them.

    Parameters
    ----------
    runs : sequence of path-like
        Run directories of isac2 or SPHIRE, or star files of any program with classes.

    Raises
    ------
    InputError
        When there are fewer than two, or they are not of the same stack.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two runs or more: give another.")
    _check_same_stack([Path(run) for run in runs])
    count = _particle_count(Path(runs[0]))
    found = [_numbered(read_classification(run, count).class_of_particle) for run in runs]
    return RunsCompared(
        tuple(str(run) for run in runs), compare_classifications(found), _rand_indices(found)
    )


def write_consensus(
    output: str | os.PathLike[str],
    compared: RunsCompared,
    ids: NDArray[np.int64],
    stack: str | os.PathLike[str] | None = None,
) -> None:
    """Write particles on which runs agree.

    Parameters
    ----------
    output : path-like
        ``.txt`` for ids, else a stack in any format: with the class that most runs agree on,
        numbered as in the first run, and the pose that the first run gave. A star has the columns
        isac2GoodIn and isac2SameIn, `Comparison.good_in` and `Comparison.same_in`.
    compared : RunsCompared
    ids : int64 (m,)
        From `Comparison.chosen`.
    stack : path-like, optional
        The particles, where the first run does not say.

    Raises
    ------
    InputError
        When the file is there already, or the particles are not known.
    """
    path = str(output)
    refuse_existing(path)
    if path.lower().endswith(".txt"):
        write_ids(Path(path), ids)
        return
    if not len(ids):
        raise InputError(f"no particle is to be written to {path}: ask for fewer runs.")
    particles = _particles(compared.paths[0], stack)
    found = with_classes(particles, compared.comparison.consensus + 1, None)
    chosen = _with_counts(found, compared.comparison).select(ids)
    write_stack(path, chosen, WriteOptions(False, project_folder(chosen), True))


def write_particle_table(path: str | os.PathLike[str], compared: RunsCompared) -> None:
    """Write for each particle: id, runs in which it is good, consensus class, runs that agree.

    Ids are rows of the stack, from 0; classes are numbered from 1, and 0 is none.

    Raises
    ------
    InputError
        When the file is there already.
    """
    refuse_existing(str(path))
    write_table(Path(path), _particle_rows(compared))


def save_comparison(compared: RunsCompared) -> Path:
    """Keep a comparison with the first run, whose folder is returned; its page shows it.

    ``reproducibility.json`` and ``reproducibility.txt`` (as `write_particle_table` writes it) are
    replaced when they are there.

    Raises
    ------
    InputError
        When the first run is not a directory of isac2's.
    """
    directory = RunDirectory(Path(compared.paths[0]))
    if not directory.run_json.exists():
        raise InputError(
            f"{directory.path} is no run of isac2's, so nothing can be kept with it: give one as "
            "the first run."
        )
    document = json.dumps(compared.as_dict(), indent=2)
    write_text_atomic(directory.reproducibility, document + "\n")
    write_table(directory.reproducibility.with_suffix(".txt"), _particle_rows(compared))
    return directory.path


def _particle_rows(compared: RunsCompared) -> list[NDArray[np.int64]]:
    found = compared.comparison
    each = np.arange(found.classes.shape[1])
    return [each, found.good_in, found.consensus + 1, found.same_in]


def _with_counts(stack: Stack, found: Comparison) -> Stack:
    """The stack with the columns isac2GoodIn and isac2SameIn, where its table can have them."""
    foreign = stack.metadata.foreign
    if foreign.kind != "relion":
        return stack
    columns = {
        **foreign.particles,
        "isac2GoodIn": text_column(found.good_in),
        "isac2SameIn": text_column(found.same_in),
    }
    metadata = replace(stack.metadata, foreign=replace(foreign, particles=columns))
    return Stack(stack.path, stack.kind, stack.files, stack.file_index, stack.slots, metadata)


def _particles(run: str, stack: str | os.PathLike[str] | None) -> Stack:
    """Return the particles of the first run, with its poses."""
    if Path(run).is_dir():
        return open_classified_run(run, stack).particles
    return open_stack(run if stack is None else stack)


def _numbered(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return classes as they are, none as -1."""
    return np.where(classes < 0, -1, classes)


def _particle_count(run: Path) -> int:
    """Return how many particles a run is of."""
    if not run.exists():
        raise InputError(f"there is no run '{run}': give a run directory or a star file.")
    if run.is_dir() and not (run / "particles.star").is_file():
        if (run / "all_parameters.txt").is_file():
            return len(read_table(run / "all_parameters.txt"))
        raise InputError(f"{run} holds no particles.star, so it is no run that has ended.")
    return len(read_relion_particles(run / "particles.star" if run.is_dir() else run).slots)


def _check_same_stack(runs: Sequence[Path]) -> None:
    """Refuse runs of isac2 that say that they are of other stacks."""
    known: dict[str, str] = {}
    for run in runs:
        record = RunDirectory(run).run_json
        if record.is_file():
            known[str(run)] = read_record(record).input.fingerprint
    if len(set(known.values())) > 1:
        names = " and ".join(known)
        raise InputError(f"{names} are not of the same stack: compare runs of one stack.")


def _rand_indices(found: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    from sklearn.metrics import adjusted_rand_score

    table = np.eye(len(found))
    for (i, one), (j, two) in combinations(enumerate(found), 2):
        both = (one >= 0) & (two >= 0)
        table[i, j] = table[j, i] = adjusted_rand_score(one[both], two[both]) if both.any() else 0.0
    return table
