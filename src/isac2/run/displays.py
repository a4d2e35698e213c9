"""Ways to show the progress of a run: a live panel, plain lines, nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from isac2.run.progress import Display, Position, duration_text

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["LiveDisplay", "PlainDisplay", "SilentDisplay", "open_display"]

_SECONDS_BETWEEN_LINES = 30.0


class SilentDisplay:
    """Shows nothing."""

    def show(self, position: Position) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""


class PlainDisplay:
    """A line when a phase or round begins, and one now and then while it lasts."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._place: tuple[object, ...] = ()
        self._last = clock()

    def show(self, position: Position) -> None:
        """Print where the run is if that is news, or if nothing was printed for long."""
        place = (
            position.phase,
            position.main_iteration,
            position.generation,
            position.sac_round,
        )
        now = self._clock()
        news = place != self._place or now - self._last >= _SECONDS_BETWEEN_LINES
        if not news or not position.phase:
            return
        self._place, self._last = place, now
        self.say(_line(position))

    def say(self, message: str) -> None:
        """Print a line."""
        print(message, file=self._stream, flush=True)


class LiveDisplay:
    """A panel that is redrawn in place; messages scroll above it."""

    def __init__(self, live: Live, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._clock = clock
        self._position = Position()
        self._told = clock()

    def show(self, position: Position) -> None:
        """Keep the position for the next redraw."""
        self._position, self._told = position, self._clock()

    def say(self, message: str) -> None:
        """Print a line above the panel."""
        self._live.refresh()
        self._live.console.print(message, markup=False, highlight=False)

    def _position_now(self) -> Position:
        """The last position, with the time that has passed since."""
        position, passed = self._position, self._clock() - self._told
        left = position.seconds_left
        return replace(
            position,
            seconds=position.seconds + passed,
            seconds_left=None if left is None else max(0.0, left - passed),
        )

    def panel(self) -> Table:
        """Draw the position."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        position = self._position_now()
        table = Table.grid(padding=(0, 2))
        table.add_row("Phase", _phase_text(position))
        if position.generation:
            table.add_row(
                "Generation",
                f"main iteration {position.main_iteration}, generation {position.generation}, "
                f"round {position.sac_round}",
            )
        if position.images:
            share = ProgressBar(total=position.images, completed=position.accounted, width=30)
            table.add_row("Accounted for", f"{position.accounted} of {position.images} particles")
            table.add_row("", share)
        table.add_row("Time", _time_text(position))
        return table


@contextmanager
def open_display(stream: TextIO | None = None) -> Iterator[Display]:
    """Yield the display that fits the stream (stderr when None), for a `with` block."""
    target = sys.stderr if stream is None else stream
    if not target.isatty():
        yield PlainDisplay(target)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=target)
    display: LiveDisplay | None = None

    def draw() -> Table | str:
        return display.panel() if display is not None else ""

    with Live(console=console, get_renderable=draw, refresh_per_second=4, transient=True) as live:
        display = LiveDisplay(live)
        yield display


def _line(position: Position) -> str:
    """Say a position in one line."""
    parts = [_phase_text(position)]
    if position.generation:
        parts.append(
            f"main {position.main_iteration}, generation {position.generation}, "
            f"round {position.sac_round}"
        )
        parts.append(f"{position.accounted} of {position.images} particles accounted for")
    parts.append(_time_text(position))
    return "; ".join(parts)


def _phase_text(position: Position) -> str:
    text = position.phase
    if position.step:
        text += f": {position.step}"
    if position.total:
        text += f" {position.done}/{position.total}"
    return text


def _time_text(position: Position) -> str:
    text = f"{duration_text(position.seconds)} so far"
    if position.seconds_left is not None:
        left = duration_text(position.seconds_left)
        if position.generation:
            text += f", at most about {left} left in this generation"
        else:
            text += f", about {left} left in this phase"
    return text
