"""What a run says while it works: a live display, plain lines, and the log file.

A run tells one `Progress` what it does; that keeps the times and the memory, writes the log and
hands a `Position` to a display: on a terminal a small live panel, else plain lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from isac2.run.memory import peak_memory_in_bytes, reset_peak_memory

__all__ = ["Display", "PhaseRecord", "Position", "Progress", "duration_text"]

_LONGEST_LOG_BYTES = 2**20
_OLD_LOGS = 3


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes
    ----------
    phase : str
        Name of the phase.
    main_iteration, generation, sac_round : int
        Counted from 1; 0 outside the clustering. `sac_round` is the one that is being worked on.
    accounted, images : int
        Particles in a class so far, of how many.
    step : str
        What is being done inside the phase, empty when it has no steps.
    done, total : int
        How much of the step is done; total is 0 when nobody knows.
    seconds : float
        Since the run started.
    seconds_left : float or None
        Until the phase ends at the latest, or of the running generation; None when not known.
    """

    phase: str = ""
    main_iteration: int = 0
    generation: int = 0
    sac_round: int = 0
    accounted: int = 0
    images: int = 0
    step: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class PhaseRecord:
    """What a phase took: wall time in seconds, and the largest resident memory in bytes."""

    name: str
    seconds: float
    peak_memory_in_bytes: int


class Display(Protocol):
    """Where positions and messages are shown."""

    def show(self, position: Position) -> None:
        """Show where the run is now; called often."""
        ...

    def say(self, message: str) -> None:
        """Show one line that stays."""
        ...


class Progress:
    """Keeps where a run is, its times and its memory, for the display and the log.

    Parameters
    ----------
    display : Display
        Who shows it.
    log : pathlib.Path or None
        File that lines are added to; None keeps no log.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        display: Display,
        log: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.phases: list[PhaseRecord] = []
        self.position = Position()
        self._display = display
        self._log = log
        self._clock = clock
        self._started = clock()
        self._step_started = self._started
        self._step_began_with = 0
        self._round_started = self._started
        self._round_seconds = 0.0
        self._most_rounds = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the run, also one that is broken off, and measure its largest memory."""
        reset_peak_memory()
        started = self._clock()
        before = self.position
        self._move(Position(name, images=before.images, accounted=before.accounted))
        self._step_started = started
        ending = "broken off after "
        try:
            yield
            ending = ""
        finally:
            record = PhaseRecord(name, self._clock() - started, peak_memory_in_bytes())
            self.phases.append(record)
            self.note(
                f"{name}: {ending}{duration_text(record.seconds)}, "
                f"peak memory {record.peak_memory_in_bytes / 2**20:.0f} MiB"
            )

    def images(self, count: int) -> None:
        """Say how many particles the run is about."""
        self._move(replace(self.position, images=count))

    def step(self, name: str, done: int, total: int) -> None:
        """Say how much of a step inside the phase is done.

        The rate is that since the step was first told of, when some of it may have been done.
        """
        now = self._clock()
        if name != self.position.step or done < self.position.done:
            self._step_started, self._step_began_with = now, done
        passed = done - self._step_began_with
        if self._most_rounds:
            left = self.position.seconds_left
        else:
            left = (now - self._step_started) / passed * (total - done) if passed > 0 else None
        self._move(
            replace(self.position, step=name, done=done, total=total, seconds_left=left),
        )

    def begin_round(self, place: tuple[int, int, int], accounted: int, most_rounds: int) -> None:
        """Say which round of a generation begins.

        The time left is that of the running generation, if it takes all the rounds it may and they
        take as long as the last one did, and its end, where classes are compared, as long as one
        more: how many generations will follow nobody can know.

        Parameters
        ----------
        place : (int, int, int)
            Main iteration, generation, round, counted from 1.
        accounted : int
            Particles in a class so far.
        most_rounds : int
            Rounds a generation may take.
        """
        now = self._clock()
        if self._most_rounds:
            self._round_seconds = now - self._round_started
        self._round_started, self._most_rounds = now, most_rounds
        main_iteration, generation, sac_round = place
        left = None
        if self._round_seconds and sac_round <= most_rounds:
            left = self._round_seconds * (most_rounds - sac_round + 2)
        self._move(
            replace(
                self.position,
                main_iteration=main_iteration,
                generation=generation,
                sac_round=sac_round,
                accounted=accounted,
                step="",
                done=0,
                total=0,
                seconds_left=left,
            )
        )

    def end_rounds(self, accounted: int) -> None:
        """Say that the clustering is over."""
        self._most_rounds = 0
        self._move(Position(self.position.phase, accounted=accounted, images=self.position.images))

    def note(self, message: str) -> None:
        """Write one line to the log and show it."""
        if self._log is not None:
            _rotate(self._log)
            stamp = datetime.now().astimezone().isoformat(timespec="seconds")
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{stamp}  {message}\n")
        self._display.say(message)

    @property
    def seconds(self) -> float:
        """Since the run started."""
        return self._clock() - self._started

    def _move(self, position: Position) -> None:
        self.position = replace(position, seconds=self.seconds)
        self._display.show(self.position)


def _rotate(log: Path) -> None:
    """Put a log that has grown long aside, as ``<name>.1``; older ones move on, the oldest goes."""
    if not log.exists() or log.stat().st_size < _LONGEST_LOG_BYTES:
        return
    for number in range(_OLD_LOGS, 0, -1):
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(log.with_name(f"{log.name}.{number}"))


def duration_text(seconds: float) -> str:
    """Say a time span in the unit that fits it.

    Examples
    --------
    >>> [duration_text(seconds) for seconds in (0.25, 61.2, 3725, 200000)]
    ['0.2 s', '1 min 01 s', '1 h 02 min', '2 d 07 h']
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, part, part_size in (
        ("min", 60, "s", 1),
        ("h", 3600, "min", 60),
        ("d", 86400, "h", 3600),
    ):
        if whole < size * (60 if unit == "min" else 24) or unit == "d":
            return f"{whole // size} {unit} {whole % size // part_size:02d} {part}"
    raise AssertionError("every span has a unit")
