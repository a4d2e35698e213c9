"""Stopping from outside: by signals and by the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from isac2.errors import InputError
from isac2.run import stopping
from isac2.run.stopping import TIME_IS_OVER, RunStopped, stopping_after, stopping_on_signals

# a run whose threads are in the middle of something long
BUSY = """
import sys, time
from isac2.cli.main import main
from isac2.run import runner
from isac2.run.parallel import open_workers

def busy(*_, **__):
    with open_workers(2) as workers:
        print("busy", flush=True)
        workers.map(time.sleep, [600.0] * 5)

runner.run_isac = busy
sys.argv[1:] = ["run", "a.star", "out", "--radius=20"]
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_block_and_is_forgotten_after(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(RunStopped, match=number.name) as stop, stopping_on_signals():
        signal.raise_signal(number)
    assert stop.value.exit_code == code
    assert signal.getsignal(number) == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_does_not_wait_for_what_its_threads_do(number: signal.Signals) -> None:
    words = [sys.executable, "-c", BUSY]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "busy\n"
        program.send_signal(number)
        said = program.communicate(timeout=300)[1]
    assert program.returncode == 128 + number
    assert said.strip() == (
        f"Stopped by {number.name}; the same command goes on from the last saved point."
    )


def test_time_is_over() -> None:
    with pytest.raises(RunStopped, match="--max-hours=1e-06") as stop, stopping_after(1e-6):
        time.sleep(10)
    assert stop.value.exit_code == 75
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_a_callback_drops_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_AGAIN_AFTER_SECONDS", 0.05)
    dropped = []

    def lose_the_first() -> None:
        try:
            time.sleep(5)
        except RunStopped as stop:  # as Python does in a callback of the garbage collector
            dropped.append(stop.exit_code)
        time.sleep(5)

    with pytest.raises(RunStopped), stopping_after(0.02 / 3600):
        lose_the_first()
    assert dropped == [TIME_IS_OVER]
    time.sleep(0.1)  # and not once more, outside of the block


def test_time_that_is_not_over_is_no_more_counted() -> None:
    with stopping_after(1.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with stopping_after(0.0):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_limit_that_cannot_be_kept_is_refused() -> None:
    said: list[str] = []

    def work() -> None:
        try:
            with stopping_after(1.0):
                said.append("began")
        except InputError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said[0].startswith("--max-hours=1 needs")
