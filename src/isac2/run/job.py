"""What the steps of a run share, and how a phase is timed and put on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from time import process_time
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import Frames
from isac2.run.communication import Ranks
from isac2.run.compiling import telling_of_compilation
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay, open_display
from isac2.run.input_files import FileMark, check_unchanged, mark_files
from isac2.run.options import Settings
from isac2.run.parallel import device_for, open_workers, threads_of_rank
from isac2.run.progress import Display, Progress, duration_text
from isac2.run.record import RunRecord, write_record
from isac2.run.run_classes import RunFacts
from isac2.run.stopping import RunStopped
from isac2.stacks import Stack
from isac2.workers import Workers

__all__ = ["Job", "open_job"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Job:
    """What the steps of a run share.

    With several ranks each has its own, and does every step; but only the first touches the run's
    directory, in what is handed to `first`. The settings have the device that the rank uses.
    """

    stack: Stack
    settings: Settings
    directory: RunDirectory
    record: RunRecord
    workers: Workers
    progress: Progress
    ranks: Ranks
    input_files: tuple[FileMark, ...]

    def first(self, function: Callable[[], Value]) -> Value:
        """Return what the first rank's `function()` returns: for all that touches files."""
        return self.ranks.first(function)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and put it on record, also what it took before the run was stopped."""
        ranks = self.ranks
        before = ranks.received_bytes, ranks.exchanges, ranks.waited_seconds, process_time()
        try:
            with self.progress.phase(name):
                yield
        except KeyboardInterrupt:
            self._record_last_phase({})
            raise
        busy = process_time() - before[3]
        worked = ranks.all(lambda: busy)
        share = {"mean_core_seconds": sum(worked) / len(worked), "most_core_seconds": max(worked)}
        if ranks.count == 1:
            self._record_last_phase(share)
            return
        share |= {
            "received_bytes": ranks.received_bytes - before[0],
            "exchanges": ranks.exchanges - before[1],
            "waited_seconds": ranks.waited_seconds - before[2],
        }
        self.progress.note(
            f"{name}: a rank worked {duration_text(share['mean_core_seconds'])}, at most "
            f"{duration_text(share['most_core_seconds'])}; received "
            f"{share['received_bytes'] / 2**20:.1f} MiB in {share['exchanges']} exchanges, waited "
            f"{duration_text(share['waited_seconds'])}"
        )
        self._record_last_phase(share)

    def _record_last_phase(self, share: Mapping[str, float]) -> None:
        """Add a phase to what earlier starts of the run took for it."""
        if not self.ranks.is_first:
            return
        done = self.progress.phases[-1]
        row = next((row for row in self.record.phases if row["name"] == done.name), None)
        if row is None:
            row = {"name": done.name, "seconds": 0.0, "peak_memory_in_bytes": 0}
            self.record.phases.append(row)
        for name, value in share.items():
            row[name] = round(row.get(name, 0) + value, 3)
        row["seconds"] = round(row["seconds"] + done.seconds, 3)
        row["peak_memory_in_bytes"] = max(row["peak_memory_in_bytes"], done.peak_memory_in_bytes)
        write_record(self.directory.run_json, self.record)

    def facts(
        self, shifts: NDArray[np.float64], weights: NDArray[np.float64] | None = None
    ) -> RunFacts:
        """Return what result files need to know.

        Parameters
        ----------
        shifts : float64 (N, 2)
            Of the pre-alignment, input px.
        weights : float64 (n // 2 + 1,), optional
            How the spectra were equalised; averages keep what ``--VPP`` makes of them.
        """
        known = self.stack.metadata.pixel_size_in_angstroms
        return RunFacts(
            count=len(self.stack),
            shrink_ratio=self.settings.shrink_ratio,
            radius=self.settings.radius,
            target_radius=self.settings.target_radius,
            pixel_size_in_angstroms=np.where(np.isfinite(known), known, 1.0),
            shifts=shifts,
            whitening=None if self.settings.phase_plate else weights,
        )

    def frames(self, shifts: NDArray[np.float64]) -> Frames:
        """Return the edges of the picked images in the working images."""
        ratio = self.settings.shrink_ratio
        return Frames(shifts * ratio, self.stack.box_size / 2 * ratio)

    def tell_images(self, done: int, total: int) -> None:
        """Show how many images a step has read, which must not have changed meanwhile."""
        check_unchanged(self.input_files)
        self.progress.step("image", done, total)

    def tell_rounds(self, done: int, total: int) -> None:
        """Show how many rounds of an alignment are done."""
        self.progress.step("round", done, total)

    def tell_words(self, words: str) -> None:
        """Show what is being done."""
        self.progress.step(words, 0, 0)


@contextmanager
def open_job(
    stack: Stack,
    settings: Settings,
    directory: RunDirectory,
    record: RunRecord,
    display: Display | None,
    ranks: Ranks,
) -> Iterator[Job]:
    """Start the workers and the display of a run."""
    record.threads, record.ranks = threads_of_rank(settings.threads, ranks), ranks.count
    settings = replace(settings, device=device_for(settings.device, ranks))
    with open_workers(record.threads, ranks) as workers, ExitStack() as shown:
        if not ranks.is_first:
            display = SilentDisplay()
        display = display or shown.enter_context(open_display())
        log = directory.log if ranks.is_first else None
        progress = Progress(display, log)
        files = mark_files(stack) if ranks.is_first else ()
        job = Job(stack, settings, directory, record, workers, progress, ranks, files)
        _introduce(job)
        shown.enter_context(telling_of_compilation(job.progress.note))
        try:
            yield job
        except RunStopped as stop:
            job.progress.note(str(stop))
            raise


def _introduce(job: Job) -> None:
    """Say what run this is, and what it runs on."""
    record = job.record
    job.progress.images(len(job.stack))
    who = f"{record.threads} threads"
    if job.settings.device != "cpu":
        who += f" and {job.settings.device}"
    if record.ranks > 1:
        who = f"{record.ranks} ranks of {who} each"
    job.progress.note(f"isac2 {record.version}: {job.stack.describe()}; seed {record.seed}, {who}")
    asked = job.settings.threads
    if asked > record.threads:
        job.progress.note(
            f"--threads={asked} would be more threads than cores: {record.threads} are used"
        )
