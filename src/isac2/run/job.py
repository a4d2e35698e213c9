"""What the steps of a run share, and how a phase is timed and put on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from isac2.run.compiling import telling_of_compilation
from isac2.run.directory import RunDirectory
from isac2.run.displays import open_display
from isac2.run.options import Settings
from isac2.run.parallel import open_workers
from isac2.run.progress import Display, Progress
from isac2.run.record import RunRecord, write_record
from isac2.run.stopping import RunStopped
from isac2.stacks import Stack
from isac2.workers import Workers

__all__ = ["Job", "open_job"]


@dataclass(frozen=True)
class Job:
    """What the steps of a run share."""

    stack: Stack
    settings: Settings
    directory: RunDirectory
    record: RunRecord
    workers: Workers
    progress: Progress

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and put it on record, also what it took before the run was stopped."""
        try:
            with self.progress.phase(name):
                yield
        except KeyboardInterrupt:
            self._record_last_phase()
            raise
        self._record_last_phase()

    def _record_last_phase(self) -> None:
        """Add a phase to what earlier starts of the run took for it."""
        done = self.progress.phases[-1]
        row = next((row for row in self.record.phases if row["name"] == done.name), None)
        if row is None:
            row = {"name": done.name, "seconds": 0.0, "peak_memory_in_bytes": 0}
            self.record.phases.append(row)
        row["seconds"] = round(row["seconds"] + done.seconds, 3)
        row["peak_memory_in_bytes"] = max(row["peak_memory_in_bytes"], done.peak_memory_in_bytes)
        write_record(self.directory.run_json, self.record)

    def tell_images(self, done: int, total: int) -> None:
        """Show how many images a step has worked on."""
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
) -> Iterator[Job]:
    """Start the workers and the display of a run."""
    with open_workers(settings.threads) as workers, ExitStack() as shown:
        record.threads = workers.count
        display = display or shown.enter_context(open_display())
        job = _new_job(stack, settings, directory, record, workers, display)
        shown.enter_context(telling_of_compilation(job.progress.note))
        try:
            yield job
        except RunStopped as stop:
            job.progress.note(str(stop))
            raise


def _new_job(
    stack: Stack,
    settings: Settings,
    directory: RunDirectory,
    record: RunRecord,
    workers: Workers,
    display: Display,
) -> Job:
    progress = Progress(display, directory.log)
    progress.images(len(stack))
    progress.note(
        f"isac2 {record.version}: {stack.describe()}; seed {record.seed}, {workers.count} threads"
    )
    return Job(stack, settings, directory, record, workers, progress)
