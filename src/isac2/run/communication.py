"""What the processes (ranks) of one run say to each other; all of it, and nothing else speaks.

Every rank runs the same program on the same numbers and takes its share of each step's work; only
results travel. So a call here is one that all ranks make, in the same order. Each begins with a few
numbers from everybody: that all make the same call, and that none has failed. An error of one rank
is thereby raised in all of them, and nobody waits for one who is gone.

`OneRank` is the serial twin, and MPI is not even imported where a program was not launched by it.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from traceback import format_tb
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError, RunError
from isac2.run.launcher import launched_apart, launched_ranks

__all__ = ["MpiRanks", "OneRank", "Ranks", "open_ranks"]

Value = TypeVar("Value")

_PIECE_BYTES = 2**28  # of one message: counts of an MPI message end at 2 GiB
_SHORTEST_PAUSE, _LONGEST_PAUSE = 2e-5, 1e-3  # seconds between two looks for an answer
_SECONDS_FOR_OTHERS = 5.0  # who has failed waits so long for the others to hear of it
_SECONDS_FOR_FIRST = 3.0  # the first rank is who explains why a run was stopped
_PIECE_TAG = 1


class Ranks(Protocol):
    """The processes of a run, seen by one of them.

    Attributes
    ----------
    rank, count : int
        Which one this is, from 0, of how many.
    received_bytes, exchanges, waited_seconds : int, int, float
        What this one has received from others, in how many calls, and how long it waited for them.
    """

    rank: int
    count: int
    received_bytes: int
    exchanges: int
    waited_seconds: float

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and speaks to people."""
        ...

    def first(self, function: Callable[[], Value]) -> Value:
        """Return `function()`, which only the first rank calls, on all."""
        ...

    def each(self, function: Callable[[], Value]) -> Value:
        """Return this rank's own `function()`; an error of one is raised on all."""
        ...

    def all(self, function: Callable[[], Value]) -> list[Value]:
        """Return every rank's `function()`, in their order, on all."""
        ...

    def to_first(self, function: Callable[[], Value], keep: Callable[[int, Value], None]) -> None:
        """Call `keep(rank, its function())` on the first rank, one after the other."""
        ...


class OneRank:
    """A run that is one process.

    Examples
    --------
    >>> OneRank().all(lambda: 7)
    [7]
    """

    rank, count, is_first = 0, 1, True
    received_bytes, exchanges, waited_seconds = 0, 0, 0.0

    def first(self, function: Callable[[], Value]) -> Value:
        """Return `function()`."""
        return function()

    def each(self, function: Callable[[], Value]) -> Value:
        """Return `function()`."""
        return function()

    def all(self, function: Callable[[], Value]) -> list[Value]:
        """Return `[function()]`."""
        return [function()]

    def to_first(self, function: Callable[[], Value], keep: Callable[[int, Value], None]) -> None:
        """Call `keep(0, function())`."""
        keep(0, function())


class MpiRanks:
    """The processes of an MPI communicator.

    Waiting is polling with pauses: a rank that waits leaves its core to those that work, and hears
    signals.

    Parameters
    ----------
    world : mpi4py.MPI.Comm
        Used by nobody else.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self.rank, self.count = int(world.Get_rank()), int(world.Get_size())
        self.received_bytes, self.exchanges, self.waited_seconds = 0, 0, 0.0
        self._calls = 0
        self._waiting = False
        self._known: BaseException | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and speaks to people."""
        return self.rank == 0

    def first(self, function: Callable[[], Value]) -> Value:
        """Return `function()`, which only the first rank calls, on all."""
        found, data = self._try(lambda: function() if self.is_first else None, self.is_first)
        sizes = self._agree(1, found, data)
        if not self.is_first:
            found.value = self._loads(self._broadcast(data, int(sizes[0])))
        else:
            self._broadcast(data, int(sizes[0]))
        value: Value = found.value
        return value

    def each(self, function: Callable[[], Value]) -> Value:
        """Return this rank's own `function()`; an error of one is raised on all."""
        found, data = self._try(function, False)
        self._agree(2, found, data)
        value: Value = found.value
        return value

    def all(self, function: Callable[[], Value]) -> list[Value]:
        """Return every rank's `function()`, in their order, on all."""
        found, data = self._try(function, True)
        sizes = self._agree(3, found, data)
        parts = self._gather(data, sizes)
        parts[self.rank] = b""
        return [
            found.value if rank == self.rank else self._loads(part)
            for rank, part in enumerate(parts)
        ]

    def to_first(self, function: Callable[[], Value], keep: Callable[[int, Value], None]) -> None:
        """Call `keep(rank, its function())` on the first rank, one after the other."""
        found, data = self._try(function, not self.is_first)
        sizes = self._agree(4, found, data)
        if not self.is_first:
            self._send(data)
            self.each(lambda: None)
            return
        kept, _ = self._try(lambda: keep(0, found.value), False)
        found.value = None
        for rank in range(1, self.count):
            part = self._receive(rank, int(sizes[rank]))
            # also after an error: who sends is not left waiting
            if kept.error is None:
                kept, _ = self._try(partial(self._keep, keep, rank, part), False)
        self.each(kept.value_or_raise)

    def _keep(self, keep: Callable[[int, Value], None], rank: int, part: Any) -> None:
        keep(rank, self._loads(part))

    def tell(self, error: BaseException) -> bool:
        """Let the other ranks know of an error here; whether they all do."""
        if self._is_known(error):
            return True
        if self._waiting:
            return False
        try:
            self._agree(0, _Outcome(error=error), _dumps(error), _SECONDS_FOR_OTHERS)
        except TimeoutError:
            return False
        except BaseException:
            return True
        return False

    def _is_known(self, error: BaseException | None) -> bool:
        """Whether an error, or what it was made from, is the one that was raised on all ranks."""
        while error is not None and error is not self._known:
            error = error.__cause__ or error.__context__
        return error is not None

    def wait_for_all(self) -> bool:
        """Wait, not for ever, until every rank has come here; whether they have."""
        try:
            self._wait(self._world.Ibarrier(), _SECONDS_FOR_OTHERS)
        except Exception:
            return False
        return True

    def abort(self, code: int) -> None:
        """End all ranks at once."""
        self._world.Abort(code)

    def _try(self, function: Callable[[], Any], dump: bool) -> tuple[_Outcome, bytes]:
        """Call a function; what came out, and as bytes where they are asked for."""
        found = _Outcome()
        try:
            found.value = function()
            return found, pickle.dumps(found.value, 5) if dump else b""
        except Exception as error:
            found.error = error
            return found, _dumps(error)

    def _agree(
        self, kind: int, found: _Outcome, data: bytes, patience: float | None = None
    ) -> NDArray[np.int64]:
        """Hear from all ranks that they are in the same call; raise what one of them raised.

        Returns how many bytes each has, int64 (ranks,).
        """
        self._calls += 1
        mine = np.array([self._calls, kind, found.error is not None, len(data)], np.int64)
        everybody = np.empty((self.count, len(mine)), np.int64)
        self._wait(self._world.Iallgather(mine, everybody), patience)
        self.exchanges += 1
        self.received_bytes += everybody.nbytes - mine.nbytes
        failed = everybody[:, 2] != 0
        if failed.any():
            parts = self._gather(data if failed[self.rank] else b"", everybody[:, 3] * failed)
            first = int(np.flatnonzero(failed)[0])
            # the rank's own error knows where it was raised
            own = found.error if first == self.rank else None
            self._known = own or self._loads(parts[first])
            raise self._known
        if (everybody[:, :2] != mine[:2]).any():
            raise RunError(
                "The ranks of the run are not doing the same any more: use one version of isac2 "
                "and one kind of processor for all of them."
            )
        sizes: NDArray[np.int64] = everybody[:, 3]
        return sizes

    def _gather(self, data: bytes, sizes: NDArray[np.int64]) -> list[Any]:
        """Bytes of every rank, on all; in pieces, which MPI can count."""
        piece = max(1, _PIECE_BYTES // self.count)
        parts = [bytearray() for _ in range(self.count)]
        for start in range(0, int(sizes.max()), piece):
            lengths = np.clip(sizes - start, 0, piece)
            places = np.cumsum(lengths) - lengths
            everything = np.empty(int(lengths.sum()), np.uint8)
            mine = np.frombuffer(data, np.uint8)[start : start + piece]
            target = [everything, (lengths.tolist(), places.tolist())]
            self._wait(self._world.Iallgatherv(mine, target))
            for rank, part in enumerate(parts):
                part += everything[places[rank] : places[rank] + lengths[rank]].tobytes()
        self.received_bytes += int(sizes.sum() - sizes[self.rank])
        return list(parts)

    def _broadcast(self, data: bytes, size: int) -> Any:
        """Bytes of the first rank, on all."""
        everything = np.frombuffer(bytearray(data) if self.is_first else bytearray(size), np.uint8)
        for start in range(0, size, _PIECE_BYTES):
            self._wait(self._world.Ibcast(everything[start : start + _PIECE_BYTES]))
        self.received_bytes += 0 if self.is_first else size
        return everything

    def _send(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            piece = np.frombuffer(data, np.uint8)[start : start + _PIECE_BYTES]
            self._wait(self._world.Isend(piece, 0, _PIECE_TAG))

    def _receive(self, rank: int, size: int) -> Any:
        everything = np.empty(size, np.uint8)
        for start in range(0, size, _PIECE_BYTES):
            piece = everything[start : start + _PIECE_BYTES]
            self._wait(self._world.Irecv(piece, rank, _PIECE_TAG))
        self.received_bytes += size
        return everything

    def _wait(self, request: Any, patience: float | None = None) -> None:
        """Wait for MPI; a signal that ends the wait leaves it unfinished."""
        self._waiting = True
        started, pause = time.perf_counter(), _SHORTEST_PAUSE
        while not request.Test():
            if patience is not None and time.perf_counter() - started > patience:
                raise TimeoutError
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.5 * pause)
        self.waited_seconds += time.perf_counter() - started
        self._waiting = False

    def _loads(self, data: Any) -> Any:
        return pickle.loads(data)


class _Outcome:
    """What a function returned or raised."""

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error

    def value_or_raise(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def _dumps(error: BaseException) -> bytes:
    """An error as bytes; one that cannot travel, as its words."""
    if hasattr(error, "add_note"):
        # where it happened does not travel by itself
        error.add_note(f"On {socket.gethostname()}:\n{''.join(format_tb(error.__traceback__))}")
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        data = pickle.dumps(RunError(f"{type(error).__name__}: {error}"))
    return data


@contextmanager
def open_ranks(say: Callable[[BaseException], int]) -> Iterator[Ranks]:
    """Yield the ranks of this program for a `with` block, and end them together.

    Parameters
    ----------
    say : callable
        Tells a person of an error and returns the exit code; called once, by the first rank or the
        one that failed.

    Raises
    ------
    InputError
        The program was launched as several processes, and MPI cannot be used.
    """
    count, apart = launched_ranks(), launched_apart()
    if apart:
        raise InputError(
            f"srun has started {apart} processes that know nothing of each other: give it the "
            "--mpi that 'srun --mpi=list' has for PMIx, or start one."
        )
    if count < 2:
        yield OneRank()
        return
    ranks = MpiRanks(_start_mpi(count))
    try:
        yield ranks
    except BaseException as error:
        _end_all(ranks, error, say)


def _end_all(ranks: MpiRanks, error: BaseException, say: Callable[[BaseException], int]) -> None:
    """End this rank and all others with one message and one exit code."""
    # said first: who has stopped the run may not give it much time
    code = say(error) if ranks.is_first else getattr(error, "exit_code", 1)
    _flush()
    if not ranks.tell(error):
        if not ranks.is_first:
            if not isinstance(error, Exception):
                # a signal mostly goes to all, and the first says so
                time.sleep(_SECONDS_FOR_FIRST)
            say(error)
            _flush()
        ranks.abort(code)
    if not ranks.wait_for_all():
        ranks.abort(code)
    from mpi4py import MPI

    MPI.Finalize()
    # threads may still be busy with what nobody will look at
    os._exit(code)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _start_mpi(count: int) -> Any:
    """Start MPI and return a communicator of our own; a sentence where that cannot be."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"{count} processes were launched, and MPI cannot be used ({error}): install it with "
            "'pip install isac2[mpi]', or start a single process."
        ) from None
    size = MPI.COMM_WORLD.Get_size()
    if size != count:
        raise InputError(
            f"{count} processes were launched, but mpi4py sees {size}: use the mpirun of the MPI "
            f"that mpi4py runs with ({MPI.Get_library_version().splitlines()[0].strip()})."
        )
    return MPI.COMM_WORLD.Dup()
