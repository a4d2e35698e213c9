"""What is wrong with a file: raised at the first fault, or collected to be told all at once."""

from __future__ import annotations

from isac2.errors import InputError

__all__ = ["Faults"]


class Faults:
    """Where readers report what is wrong.

    Readers report through it and then go on as well as they can. By default the first report is
    raised, so they go no further; with `collect` all reports are kept in `sentences`.

    Examples
    --------
    >>> faults = Faults(collect=True)
    >>> faults.add("x.mrcs is cut short.")
    >>> faults.sentences
    ['x.mrcs is cut short.']
    """

    def __init__(self, collect: bool = False) -> None:
        self.sentences: list[str] = []
        self._collect = collect

    def add(self, sentence: str) -> None:
        """Report one fault, in one sentence that names file and image."""
        if not self._collect:
            raise InputError(sentence)
        self.sentences.append(sentence)
