"""What a run keeps and tells of each round and each generation of the method."""

from __future__ import annotations

from isac2.clustering.generations import sac_is_over
from isac2.clustering.state import IsacState, StableGroup
from isac2.run.checkpoint import save_state
from isac2.run.generation_files import (
    MeasuredGroup,
    write_generation,
    write_main_iteration,
    write_start_of_main,
)
from isac2.run.job import Job
from isac2.run.prepare import WorkingStack
from isac2.run.progress import duration_text
from isac2.run.record import GenerationRecord, write_record
from isac2.run.run_classes import RunFacts, measure_classes

__all__ = [
    "accounted_in",
    "announce_round",
    "begin_generation",
    "keep_generation",
    "measured",
    "note_round",
    "record_generation",
    "save_step",
]


def measured(
    job: Job, working: WorkingStack, groups: tuple[StableGroup, ...]
) -> list[MeasuredGroup]:
    """Groups with their quality."""
    found = measure_classes(working.images, groups, job.settings.target_radius, job.workers)
    return [MeasuredGroup(group, quality) for group, quality in zip(groups, found, strict=True)]


def begin_generation(job: Job, state: IsacState) -> None:
    """Leave on disk what the main iteration of a state started from."""
    start = job.directory.main(state.main_iteration).generation(0)
    if not start.to_process_next.exists():
        write_start_of_main(job.directory, state)


def save_step(job: Job, state: IsacState) -> None:
    """Save where the clustering is."""
    begin_generation(job, state)
    save_state(job.directory.clustering_state, state)


def keep_generation(
    job: Job, working: WorkingStack, states: tuple[IsacState, IsacState], facts: RunFacts
) -> None:
    """Write a generation that has ended (its last two states), and a main iteration likewise."""
    before, state = states
    candidates = measured(job, working, state.candidates)
    classes = measured(job, working, _found_in_last_generation(state))
    directory = job.directory
    job.first(lambda: write_generation(directory, state, before.pool, candidates, classes, facts))
    if state.main_done:
        everything = measured(job, working, state.accounted)
        job.first(lambda: write_main_iteration(directory, state, everything, facts))
        job.first(lambda: save_state(directory.state_after_main(state.main_iteration), state))


def record_generation(
    job: Job, states: tuple[IsacState, IsacState], seconds: float, elsewhere: int
) -> None:
    """Put a generation that has ended (its last two states) on record, and tell it.

    `elsewhere` is how many particles are in classes of other pools.
    """
    before, state = states
    place = (state.main_iteration, state.generation)
    found = _found_in_last_generation(state)
    accounted = accounted_in(state.accounted) - accounted_in(before.accounted)
    # a start that was stopped may have left a row of its own
    rows = [r for r in job.record.generations if (r.main_iteration, r.generation) < place]
    row = GenerationRecord(
        main_iteration=state.main_iteration,
        generation=state.generation,
        images=len(before.pool),
        groups=len(state.candidates),
        classes=len(found),
        accounted=accounted,
        rounds=state.sac_round,
        agreement=before.agreement[-1] if before.agreement else 0.0,
        seconds=round(seconds, 3),
    )
    job.record.generations[:] = [*rows, row]
    job.first(lambda: write_record(job.directory.run_json, job.record))
    total = elsewhere + accounted_in(state.accounted)
    came = f"{accounted} of {len(before.pool)} particles accounted for"
    # at the end of a main iteration classes are weighed anew, and may lose more than was found
    change = came if accounted >= 0 else f"{-accounted} particles sent back"
    job.progress.note(
        f"main {place[0]}, generation {place[1]}: {len(found)} new classes, {change}, "
        f"{total} in all"
    )


def _found_in_last_generation(state: IsacState) -> tuple[StableGroup, ...]:
    """Classes of the generation that has ended, as they are now."""
    place = (state.main_iteration, state.generation)
    return tuple(g for g in state.accounted if (g.main_iteration, g.generation) == place)


def note_round(job: Job, state: IsacState, seconds: float) -> None:
    stable = accounted_in(state.groups)
    job.progress.note(
        f"main {state.main_iteration}, generation {state.generation}, round {state.sac_round}: "
        f"{stable} of {len(state.pool)} particles stable in {len(state.groups)} groups, "
        f"agreement {100 * state.agreement[-1]:.0f} %, {duration_text(seconds)}"
    )


def announce_round(job: Job, state: IsacState, elsewhere: int) -> None:
    """Tell the display which round comes after a state.

    `elsewhere` is how many particles are in classes of other pools.
    """
    parameters = job.settings.clustering_parameters()
    if state.finished or sac_is_over(state, parameters):
        return
    place = (state.main_iteration, state.generation, state.sac_round + 1)
    if state.main_done:
        place = (state.main_iteration + 1, 1, 1)
    elif state.generation_done:
        place = (state.main_iteration, state.generation + 1, 1)
    accounted = elsewhere + accounted_in(state.accounted)
    job.progress.begin_round(place, accounted, parameters.maximum_rounds)


def accounted_in(groups: tuple[StableGroup, ...] | list[StableGroup]) -> int:
    return sum(len(group.members) for group in groups)
