"""The run as the viewer shows it at the moment: the page, and how far the run is."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from isac2 import __version__
from isac2.errors import Isac2Error
from isac2.report.load import load_report
from isac2.report.page import Served, render_page
from isac2.report.so_far import Measured
from isac2.run.directory import RunDirectory
from isac2.run.status import read_status

__all__ = ["Page", "Pages"]


@dataclass(frozen=True)
class Page:
    """A page, the state of the run that it shows, and the word that its scripts are allowed by."""

    text: str
    tag: str
    nonce: str


class Pages:
    """Pages of one run, made anew when the run's files have changed.

    Parameters
    ----------
    path : pathlib.Path
        Of the run.
    """

    def __init__(self, path: Path) -> None:
        self.directory = RunDirectory(path)
        self._lock = threading.Lock()
        self._measured: Measured = {}
        self._page: Page | None = None
        self._status: tuple[str, dict[str, Any]] = ("", {})

    def tag(self) -> str:
        """Return a word that changes when what the page shows may have changed."""
        run = self.directory
        shown = (
            run.run_json,
            run.class_averages,
            run.chains_params,
            run.particles_star,
            run.global_average,
            run.clustering_state,
            run.pools_state,
            run.finished,
        )
        return _stamp(*shown)

    def page(self) -> Page:
        """Return the page as the run is now.

        Raises
        ------
        Isac2Error
            When the run cannot be read.
        """
        with self._lock:
            tag = self.tag()
            if self._page is None or self._page.tag != tag:
                data = load_report(self.directory.path, self._measured)
                nonce = secrets.token_urlsafe(16)
                text = render_page(data, __version__, Served(nonce, tag))
                self._page = Page(text, tag, nonce)
            return self._page

    def status(self) -> dict[str, Any]:
        """Say how far the run is, for the line at the head of the page."""
        run = self.directory
        states = run.clustering_state, run.pools_state
        stamp = _stamp(run.run_json, *states, run.log, run.lock, run.finished)
        with self._lock:
            if self._status[0] != stamp:
                self._status = (stamp, _status(run))
            return self._status[1]


def _stamp(*files: Path) -> str:
    """Return a word made of when files were last written, and how long they are."""
    digest = blake2b(digest_size=9)
    for file in files:
        try:
            entry = file.stat()
        except OSError:
            digest.update(b"-")
            continue
        digest.update(f"{entry.st_mtime_ns} {entry.st_size} {entry.st_ino};".encode())
    return digest.hexdigest()


def _status(run: RunDirectory) -> dict[str, Any]:
    """Return the state in words and numbers; of SPHIRE's runs nothing is known but the files."""
    try:
        status = read_status(run.path)
    except Isac2Error:
        return {"state": "finished"}
    if not status.phase:
        return {"state": "finished"}
    return {
        "state": "stopped" if status.owner is None else "running",
        "phase": status.phase,
        "pools": status.pools,
        "mainIteration": status.main_iteration,
        "generation": status.generation,
        "rounds": status.rounds,
        "classes": status.classes,
        "accounted": status.accounted,
        "images": status.record.input.images,
    }
