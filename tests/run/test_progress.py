"""Progress: what is timed, what is shown, what is logged."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from isac2.run import progress as progress_module
from isac2.run.displays import LiveDisplay, PlainDisplay, open_display
from isac2.run.memory import peak_memory_in_bytes, reset_peak_memory
from isac2.run.progress import Position, Progress, duration_text


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """A display that remembers."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.messages: list[str] = []

    def show(self, position: Position) -> None:
        self.positions.append(position)

    def say(self, message: str) -> None:
        self.messages.append(message)


def test_a_phase_is_timed_and_logged(tmp_path: Path) -> None:
    clock, recorder = Clock(), Recorder()
    progress = Progress(recorder, tmp_path / "isac2.log", clock)
    with progress.phase("preparation"):
        clock.now += 90
    assert [(phase.name, phase.seconds) for phase in progress.phases] == [("preparation", 90.0)]
    assert progress.phases[0].peak_memory_in_bytes > 2**20
    logged = (tmp_path / "isac2.log").read_text().splitlines()
    assert len(logged) == 1
    assert "  preparation: 1 min 30 s, peak memory " in logged[0]
    assert recorder.messages[0] in logged[0]


def test_a_phase_that_is_broken_off_says_so() -> None:
    recorder = Recorder()
    progress = Progress(recorder)

    def fail() -> None:
        with progress.phase("preparation"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [phase.name for phase in progress.phases] == ["preparation"]
    assert recorder.messages[0].startswith("preparation: broken off after 0.")


def test_time_left_of_a_step_follows_its_rate() -> None:
    clock, recorder = Clock(), Recorder()
    progress = Progress(recorder, clock=clock)
    with progress.phase("preparation"):
        progress.step("images", 0, 100)
        assert recorder.positions[-1].seconds_left is None
        clock.now += 10
        progress.step("images", 25, 100)
        assert recorder.positions[-1].seconds_left == 30.0


def test_time_left_is_not_guessed_from_what_was_done_before_the_first_word() -> None:
    clock, recorder = Clock(), Recorder()
    progress = Progress(recorder, clock=clock)
    with progress.phase("pre-alignment"):
        clock.now += 50
        progress.step("round", 1, 28)
        assert recorder.positions[-1].seconds_left is None
        clock.now += 4
        progress.step("round", 3, 28)
        assert recorder.positions[-1].seconds_left == 50.0


def test_time_left_of_a_generation_is_an_upper_bound_from_the_last_round() -> None:
    clock, recorder = Clock(), Recorder()
    progress = Progress(recorder, clock=clock)
    progress.images(2000)
    with progress.phase("clustering"):
        progress.begin_round((1, 1, 1), 0, 7)
        assert recorder.positions[-1].seconds_left is None
        clock.now += 20
        progress.begin_round((1, 1, 2), 0, 7)
        assert recorder.positions[-1].seconds_left == 7 * 20.0
        progress.step("groups", 1, 20)
        assert recorder.positions[-1].seconds_left == 7 * 20.0
        clock.now += 30
        progress.begin_round((1, 2, 1), 500, 7)
        assert recorder.positions[-1].seconds_left == 8 * 30.0
        progress.end_rounds(700)
    assert (recorder.positions[-1].generation, recorder.positions[-1].accounted) == (0, 700)
    assert recorder.positions[-1].images == 2000


def test_plain_lines_come_with_news_or_after_a_while() -> None:
    clock, stream = Clock(), io.StringIO()
    display = PlainDisplay(stream, clock)
    position = Position("clustering", 1, 2, 3, 800, 2000, seconds=61.2, seconds_left=120.0)
    display.show(position)
    display.show(position)
    assert stream.getvalue() == (
        "clustering; main 1, generation 2, round 3; 800 of 2000 particles accounted for; "
        "1 min 01 s so far, at most about 2 min 00 s left in this generation\n"
    )
    clock.now += 31
    display.show(position)
    assert stream.getvalue().count("\n") == 2


def test_a_stream_that_is_no_terminal_gets_plain_lines() -> None:
    stream = io.StringIO()
    with open_display(stream) as display:
        display.show(Position("pre-alignment", step="round", done=3, total=14, seconds=2.0))
        display.say("a message")
    assert stream.getvalue() == "pre-alignment: round 3/14; 2.0 s so far\na message\n"


def test_a_terminal_gets_a_panel_with_everything() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with open_display(stream) as display:
        assert isinstance(display, LiveDisplay)
        display.show(Position("clustering", 1, 2, 3, 800, 2000, "sorting", 4, 6, 61.2, 120.0))
        display.say("[a] message")
        console = Console(file=io.StringIO(), width=100)
        with console.capture() as capture:
            console.print(display.panel())
    shown = " ".join(capture.get().split())
    for part in (
        "clustering: sorting 4/6",
        "main iteration 1, generation 2, round 3",
        "800 of 2000 particles",
        "1 min 01 s so far, at most about 2 min 00 s left in this generation",
    ):
        assert part in shown
    assert "[a] message" in stream.getvalue()


def test_the_panels_clock_runs_on_between_two_positions() -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), width=100)
    display = LiveDisplay(Live(console=console), clock)
    display.show(Position("preparation", step="image", done=1, total=4, seconds=5, seconds_left=9))
    clock.now += 3
    with console.capture() as capture:
        console.print(display.panel())
    assert "8.0 s so far, about 6.0 s left in this phase" in capture.get()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the peak")
def test_peak_memory_sees_an_allocation_and_forgets_it() -> None:
    reset_peak_memory()
    before = peak_memory_in_bytes()
    block = bytearray(b"x") * (64 * 2**20)
    assert peak_memory_in_bytes() - before > 48 * 2**20
    del block
    reset_peak_memory()
    assert peak_memory_in_bytes() - before < 48 * 2**20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.94, "59.9 s"), (3599, "59 min 59 s"), (86399, "23 h 59 min"), (86400, "1 d 00 h")],
)
def test_time_spans_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_long_log_is_put_aside_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_LONGEST_LOG_BYTES", 200)
    log = tmp_path / "isac2.log"
    progress = Progress(Recorder(), log)
    for number in range(100):
        progress.note(f"message {number:03d}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["isac2.log", "isac2.log.1", "isac2.log.2", "isac2.log.3"]
    assert all(path.stat().st_size < 250 for path in tmp_path.iterdir())
    kept = "".join((tmp_path / name).read_text() for name in reversed(names))
    numbers = [int(line[-3:]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 100))
    assert numbers[0] > 0
