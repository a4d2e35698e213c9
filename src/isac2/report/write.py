"""Making the page of a run."""

from __future__ import annotations

import os
from pathlib import Path

from isac2 import __version__
from isac2.files import write_text_atomic
from isac2.report.load import load_report
from isac2.report.page import render_page

__all__ = ["write_report"]


def write_report(run_directory: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into a run directory: one page, everything in it, nothing fetched.

    Parameters
    ----------
    run_directory : path-like
        Of a run of isac2, finished or not, or of SPHIRE's sp_isac2.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        When it is no run's directory, or a file in it cannot be read.
    """
    folder = Path(run_directory)
    page = folder / "report.html"
    write_text_atomic(page, render_page(load_report(folder), __version__))
    return page
