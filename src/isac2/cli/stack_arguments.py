"""What the verbs about stacks share: finding the stack that an argument means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isac2.stacks import Stack

__all__ = ["open_given_stacks", "stack_of_argument"]


def stack_of_argument(argument: str) -> str:
    """Return the file meant by an argument: the star of its particles for a run's directory."""
    star = Path(argument) / "particles.star"
    return str(star) if not argument.startswith("bdb:") and star.is_file() else argument


def open_given_stacks(arguments: Sequence[str], root: str | None) -> Stack:
    """Open one stack, or several as one."""
    from isac2.stacks import open_stack

    names = [stack_of_argument(argument) for argument in arguments]
    return open_stack(names[0] if len(names) == 1 else names, root)
