"""Named selections of classes, kept in a run's folder ``selections``; nothing is written elsewhere.

A selection is a JSON file that is written anew, whole, with each change. Every change says which
state it was made on, and every field knows when it was changed last, so that changes made in two
places at the same time are all kept.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from isac2.errors import InputError
from isac2.files import write_text_atomic

__all__ = ["Change", "Mark", "Selection", "SelectionFolder", "merged", "read_changes"]

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,62}[A-Za-z0-9_-])?")
_LONGEST = {"label": 40, "note": 4000}  # characters
_MOST_CHANGES, _LARGEST_CLASS = 100_000, 10_000_000


@dataclass(frozen=True)
class Change:
    """A new value of one field (``chosen``, ``label`` or ``note``) of one class, from 1."""

    class_number: int
    field: str
    value: bool | str


@dataclass(frozen=True)
class Mark:
    """What somebody said of a class; `since` is the revision that each field was changed in."""

    chosen: bool = False
    label: str = ""
    note: str = ""
    since: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Marks of classes by their numbers, from 1; `revision` counts the changes."""

    name: str
    revision: int = 0
    marks: dict[int, Mark] = field(default_factory=dict)

    @property
    def chosen(self) -> list[int]:
        """Numbers of the chosen classes, ascending."""
        return sorted(number for number, mark in self.marks.items() if mark.chosen)

    def document(self) -> dict[str, Any]:
        """Return the selection as its file has it."""
        marks = {str(number): vars(mark) for number, mark in sorted(self.marks.items())}
        changed = datetime.now().astimezone().isoformat(timespec="seconds")
        return {
            "format": FORMAT,
            "name": self.name,
            "revision": self.revision,
            "changed": changed,
            "classes": marks,
        }


def read_changes(values: Any) -> list[Change]:
    """Check changes that came from a page.

    Raises
    ------
    InputError
        When they are something else.

    Examples
    --------
    >>> read_changes([{"class": 2, "field": "chosen", "value": True}])
    [Change(class_number=2, field='chosen', value=True)]
    """
    if not isinstance(values, list) or len(values) > _MOST_CHANGES:
        raise InputError("The changes of a selection are a list of at most 100,000.")
    return [_read_change(value) for value in values]


def _read_change(value: Any) -> Change:
    fields = value if isinstance(value, dict) else {}
    number, name, new = fields.get("class"), fields.get("field"), fields.get("value")
    if type(number) is int and 1 <= number <= _LARGEST_CLASS:
        if name == "chosen" and isinstance(new, bool):
            return Change(number, name, new)
        if name in _LONGEST and isinstance(new, str) and len(new) <= _LONGEST[name]:
            return Change(number, name, new)
    raise InputError(f"{str(value)[:80]} is no change of a selection: reload the page.")


def merged(
    selection: Selection, changes: Sequence[Change], base: int, strict: bool = False
) -> Selection:
    """Apply changes that were made on an older state of the selection.

    What others changed meanwhile stays, unless it is the same field of the same class: there the
    newer value holds, but of two notes both are kept. Strict changes leave such fields alone.

    Parameters
    ----------
    selection : Selection
        As it is now.
    changes : sequence of Change
    base : int
        Revision that the changes were made on.
    strict : bool
        For undoing: do not touch what was changed after `base`.

    Examples
    --------
    >>> here = merged(Selection("good"), [Change(3, "note", "blurred")], base=0)
    >>> merged(here, [Change(3, "note", "thin"), Change(4, "chosen", True)], base=0).marks[3].note
    'blurred\\nthin'
    """
    marks, revision = dict(selection.marks), selection.revision + 1
    for change in changes:
        mark = marks.get(change.class_number, Mark())
        before, value = getattr(mark, change.field), change.value
        is_newer = mark.since.get(change.field, 0) > base
        if value == before or (is_newer and strict):
            continue
        if is_newer and change.field == "note" and before and str(value) not in before:
            value = f"{before}\n{value}"
        since = {**mark.since, change.field: revision}
        marks[change.class_number] = Mark(**{**vars(mark), change.field: value, "since": since})
    if marks == selection.marks:
        return selection
    return Selection(selection.name, revision, marks)


class SelectionFolder:
    """The folder ``selections`` of a run; it is made when something is first saved.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def file(self, name: str) -> Path:
        """Return where a selection is kept.

        Raises
        ------
        InputError
            When the name is none that a selection can have.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"'{name[:64]}' is no name for a selection: take letters, digits, blanks, - and _."
            )
        return self.path / f"{name}.json"

    def names(self) -> list[str]:
        """Names of the selections, the one changed last first."""
        files = [f for f in self.path.glob("*.json") if _NAME.fullmatch(f.stem)]
        return [f.stem for f in sorted(files, key=lambda f: (-f.stat().st_mtime_ns, f.stem))]

    def read(self, name: str) -> Selection:
        """Read a selection; one that nobody has saved yet is empty.

        Raises
        ------
        InputError
            When its file is damaged.
        """
        file = self.file(name)
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise ValueError("another version wrote it")
            marks = {int(number): Mark(**mark) for number, mark in document["classes"].items()}
            return Selection(name, int(document["revision"]), marks)
        except FileNotFoundError:
            return Selection(name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file} cannot be read as a selection ({error}): remove it, or take another name."
            ) from None

    def change(
        self, name: str, changes: Sequence[Change], base: int, strict: bool = False
    ) -> Selection:
        """Save changes and return the selection as it is then.

        Beside the selection, ``NAME.txt`` lists the chosen classes for ``isac2 select --from``.

        Raises
        ------
        InputError
            When the name or the file cannot be used, or the selection has been removed since.
        """
        file = self.file(name)
        with self.alone():
            before = self.read(name)
            if base > 0 and before.revision == 0:
                raise InputError(f"the selection '{name}' has been removed: take another one.")
            after = merged(before, changes, base, strict)
            if after is not before:
                text = json.dumps(after.document(), indent=1, ensure_ascii=False)
                write_text_atomic(file, text + "\n")
                self._write_numbers(after)
        return after

    def _write_numbers(self, selection: Selection) -> None:
        numbers = "".join(f"{number}\n" for number in selection.chosen)
        write_text_atomic(self.file(selection.name).with_suffix(".txt"), numbers)

    def remove(self, name: str) -> None:
        """Put a selection away, into the folder ``removed``; what was exported of it stays.

        Raises
        ------
        InputError
            When there is none of this name.
        """
        file = self.file(name)
        with self.alone():
            if not file.exists():
                raise InputError(f"there is no selection '{name}' to be removed.")
            removed = self._removed()
            removed.mkdir(exist_ok=True)
            number = max((_number(kept) for kept in self._put_away(name)), default=0) + 1
            file.replace(removed / f"{name}.{number}.json")
            file.with_suffix(".txt").unlink(missing_ok=True)

    def restore(self, name: str) -> Selection:
        """Bring back the selection of this name that was removed last.

        Raises
        ------
        InputError
            When none was removed, or there is a new one of this name.
        """
        file = self.file(name)
        with self.alone():
            if file.exists():
                raise InputError(f"there is a new selection '{name}': give it another name first.")
            put_away = self._put_away(name)
            if not put_away:
                raise InputError(f"no selection '{name}' has been removed.")
            put_away[-1].replace(file)
            selection = self.read(name)
            self._write_numbers(selection)
        return selection

    def _removed(self) -> Path:
        folder = self.path / "removed"
        if folder.is_symlink():
            raise InputError(f"{folder} is a link: selections are only kept in the run itself.")
        return folder

    def _put_away(self, name: str) -> list[Path]:
        """Files of the removed selections of one name, the one removed last at the end."""
        files = self._removed().glob(f"{name}.*.json")
        return sorted((file for file in files if _number(file)), key=_number)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder, which is made if need be, to oneself: also among several viewers."""
        if self.path.is_symlink():
            raise InputError(f"{self.path} is a link: selections are only kept in the run itself.")
        try:
            self.path.mkdir(exist_ok=True)
            with self._lock, (self.path / ".lock").open("a") as file:
                _wait_for_lock(file.fileno())
                yield
        except OSError as error:
            raise InputError(
                f"Nothing can be saved in {self.path} ({error.strerror or error}): make it "
                "writable, or view a copy of the run."
            ) from None


def _number(removed: Path) -> int:
    """Return the number in the name of a selection that was put away; 0 when it is none."""
    number = removed.stem.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdecimal() else 0


def _wait_for_lock(descriptor: int) -> None:
    """Wait until no other viewer writes; the kernel's lock ends with the file's closing."""
    try:
        import fcntl
    except ImportError:  # Windows: one viewer a run
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
