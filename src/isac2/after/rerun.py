"""Another round: the chosen particles of a run, or the rejected ones, classified again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.after.base import open_base_run
from isac2.after.choose import Choice, chosen_particles
from isac2.classes.select_files import open_run_classes
from isac2.devices import find_device
from isac2.errors import InputError
from isac2.run.beginning import begin_run, saying_how_to_go_on
from isac2.run.choices import Choice as Chosen
from isac2.run.choices import choose_settings
from isac2.run.communication import OneRank, Ranks
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.lock import only_run_in
from isac2.run.option import AUTOMATIC
from isac2.run.options import Settings
from isac2.run.prepare import check_stack
from isac2.run.progress import Display
from isac2.run.record import write_record
from isac2.run.runner import run_isac
from isac2.run.text_tables import read_ids, write_ids
from isac2.stacks import Stack

__all__ = ["ORIGINAL_IDS", "rerun"]

ORIGINAL_IDS = "original_ids.txt"
"""Of each particle of a round: its row in the stack of the first one."""


def rerun(
    run: str | os.PathLike[str],
    outdir: str | os.PathLike[str],
    choice: Choice,
    *,
    stack: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    display: Display | None = None,
    ranks: Ranks | None = None,
) -> RunDirectory:
    """Classify some of the particles of a run again, with its settings or others.

    Parameters
    ----------
    run : path-like
        Directory of a finished run, of isac2 or SPHIRE.
    outdir : path-like
        A new folder, or one in which the same round was stopped. It is an ordinary run's, with
        where its particles come from as ``provenance`` in ``run.json`` and `ORIGINAL_IDS`.
    choice : Choice
        Which particles.
    stack : path-like, optional
        What was classified, for SPHIRE's runs.
    settings : mapping, optional
        By Python names: what is to differ from the run, ``auto`` where a run may choose. The seed
        is the run's.
    display : Display, optional
        Where progress is shown; by default stderr.
    ranks : Ranks, optional
        Processes that share the work, all of which make this call; by default this one alone.

    Raises
    ------
    InputError
        When nothing is chosen, the settings do not fit, or the folder cannot be used.
    """
    ranks, words = ranks or OneRank(), dict(settings or {})
    round_ = ranks.each(lambda: _plan(run, outdir, choice, stack, words))
    directory = ranks.first(lambda: open_run_directory(outdir))

    def begin() -> None:
        with saying_how_to_go_on(directory), only_run_in(directory.path):
            _begin(directory, round_)

    ranks.first(begin)
    return run_isac(
        round_.particles, directory.path, round_.settings, display, ranks, round_.choices
    )


@dataclass(frozen=True)
class _Round:
    """What is to be classified, how, and where it comes from."""

    particles: Stack
    settings: Settings
    choices: tuple[Chosen, ...]
    provenance: dict[str, Any]
    original_ids: NDArray[np.int64]


def _plan(
    run: str | os.PathLike[str],
    outdir: str | os.PathLike[str],
    choice: Choice,
    stack: str | os.PathLike[str] | None,
    words: dict[str, Any],
) -> _Round:
    """Choose the particles, and see that they can be classified."""
    # SPHIRE's runs do not say their settings, so that the words are the run's own, too
    known = {name: value for name, value in words.items() if value != AUTOMATIC}
    base = open_base_run(run, stack, known if RunDirectory(Path(run)).is_new() else {})
    ids = chosen_particles(open_run_classes(Path(run)), choice, len(base.particles))
    some = base.particles.select(ids)
    usual = base.settings.as_words()
    if base.record is None and words.get("images_per_group") == AUTOMATIC:
        usual["minimum_group_size"] = None  # SPHIRE's 60 was of groups that nobody knows yet
    settings, choices = choose_settings(some, {**usual, **words}, outdir)
    find_device(settings.device)
    if len(ids) < settings.images_per_group:
        raise InputError(
            f"{len(ids)} particles are chosen, fewer than one group of "
            f"--img_per_grp={settings.images_per_group}: lower it, or choose more."
        )
    check_stack(some, settings)
    provenance = {
        "verb": "rerun",
        "run": os.fspath(run),
        "choice": choice.as_dict(),
        "particles": len(ids),
        "provenance": {} if base.record is None else base.record.provenance,
    }
    return _Round(some, settings, choices, provenance, _original_ids(base.directory, ids))


def _begin(directory: RunDirectory, round_: _Round) -> None:
    """Make the run's directory, or see that it is that of the same round."""
    record = begin_run(directory, round_.particles, round_.settings)
    if record.provenance not in ({}, round_.provenance):
        raise InputError(
            f"{directory.path} is a round of other particles: give another folder for the output."
        )
    record.provenance = round_.provenance
    write_record(directory.run_json, record)
    write_ids(directory.path / ORIGINAL_IDS, round_.original_ids)


def _original_ids(base: RunDirectory, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in the stack of the first round."""
    file = base.path / ORIGINAL_IDS
    return read_ids(file)[ids] if file.is_file() else ids
