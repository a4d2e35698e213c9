"""Stopping a run from outside: by a signal, or when its time is over.

What is finished is on the disk, whole, at every moment, so that any moment is safe to stop at: the
work since the last saved point is all that is lost.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from isac2.errors import InputError

__all__ = ["TIME_IS_OVER", "RunStopped", "stopping_after", "stopping_on_signals"]

TIME_IS_OVER = 75
"""Exit code of a run whose --max-hours are over; sysexits.h: "try again later"."""

_AGAIN_AFTER_SECONDS = 10.0
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class RunStopped(KeyboardInterrupt):
    """A run was stopped from outside and can go on.

    It is no `Exception`, as `KeyboardInterrupt` is none: nothing that handles errors may keep a run
    from stopping.

    Attributes
    ----------
    exit_code : int
        128 and the signal's number, or `TIME_IS_OVER`.
    """

    def __init__(self, cause: str, exit_code: int) -> None:
        super().__init__(cause, exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        """Say what stopped the run."""
        return str(self.args[0])


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `RunStopped` in the block when the process is asked to end (SIGINT, SIGTERM, SIGHUP).

    The same signal again ends the process at once. Signals that are ignored (``nohup``) stay so.
    Outside of the main thread, which alone gets signals, nothing is changed.
    """

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise RunStopped(f"stopped by {signal.Signals(number).name}", 128 + number)

    before = {}
    try:
        if _in_main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping_after(hours: float) -> Iterator[None]:
    """Raise `RunStopped` in the block when it has taken so long; 0 is no limit.

    Raises
    ------
    InputError
        Outside of the main thread, or on a system without timers: there is no way to interrupt.
    """
    if not hours:
        yield
        return
    if not (_in_main_thread() and hasattr(signal, "setitimer")):
        raise InputError(
            f"--max-hours={hours:g} needs a system with interval timers and the program's main "
            "thread: leave the option out."
        )

    def stop(*_: object) -> None:
        raise RunStopped(f"stopped after --max-hours={hours:g}", TIME_IS_OVER)

    before = signal.signal(signal.SIGALRM, stop)
    # again, should what is raised be lost: nothing leaves a callback of the garbage collector
    signal.setitimer(signal.ITIMER_REAL, hours * 3600, _AGAIN_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
