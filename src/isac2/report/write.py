"""Making the page of a run."""

from __future__ import annotations

import os
from pathlib import Path

from isac2 import __version__
from isac2.errors import InputError
from isac2.files import write_text_atomic
from isac2.report.load import load_report
from isac2.report.page import render_page

__all__ = ["write_report"]


def write_report(
    run_directory: str | os.PathLike[str], page: str | os.PathLike[str] | None = None
) -> Path:
    """Write the page of a run: one file, everything in it, nothing fetched.

    Parameters
    ----------
    run_directory : path-like
        Of a run of isac2, finished or not, or of SPHIRE's sp_isac2.
    page : path-like, optional
        Where to; by default ``report.html`` in the run directory.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        When it is no run's directory, a file in it cannot be read, or the page has no folder to go
        to.
    """
    folder = Path(run_directory)
    target = folder / "report.html" if page is None else Path(page)
    text = render_page(load_report(folder), __version__)
    if not target.parent.is_dir():
        raise InputError(f"There is no folder {target.parent} for {target.name}: make it first.")
    write_text_atomic(target, text)
    return target
