"""The errors a user sees.

Each carries one sentence: what is wrong, with which file, option or value, and what to do about it.
"""

from __future__ import annotations

__all__ = ["InputError", "Isac2Error", "RunError"]


class Isac2Error(Exception):
    """Base of all errors that are shown to the user as one sentence, without a traceback."""

    exit_code = 1


class InputError(Isac2Error):
    """The user's input or options cannot be used as they are (exit code 2)."""

    exit_code = 2


class RunError(Isac2Error):
    """A run that started well could not be finished (exit code 1)."""
