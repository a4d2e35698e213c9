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
        self.remarks: list[str] = []
        self.collects = collect

    def add(self, sentence: str) -> None:
        """Report one fault, in one sentence that names file and image."""
        if not self.collects:
            raise InputError(sentence)
        self.sentences.append(sentence)

    def remark(self, sentence: str) -> None:
        """Keep what is no fault in itself, but may be one to whoever did not expect it."""
        self.remarks.append(sentence)
