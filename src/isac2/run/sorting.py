"""The clustering of a run: the method, one saved step after the other, whole or in pools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import Frames
from isac2.clustering.generations import isac, start_state
from isac2.clustering.pools import (
    PooledState,
    begin_pool,
    isac_in_pools,
    left_over,
    start_pools,
)
from isac2.clustering.state import IsacState, Pools
from isac2.run.checkpoint import check_same, save_state
from isac2.run.generation_steps import (
    accounted_in,
    announce_round,
    begin_generation,
    keep_generation,
    note_round,
    record_generation,
    save_step,
)
from isac2.run.job import Job
from isac2.run.prepare import WorkingStack
from isac2.run.record import write_record
from isac2.run.run_classes import RunFacts
from isac2.run.saved_points import last_state, saved_pools
from isac2.run.standing import are_pools_done, is_of_next_pool

__all__ = ["sort_particles"]


@dataclass
class _Follower:
    """Keeps each step of the method as it comes: checked, on record, saved, told."""

    job: Job
    working: WorkingStack
    facts: RunFacts
    state: IsacState
    elsewhere: int = 0  # particles in classes of other pools
    generation_began: float = 0.0
    round_began: float = 0.0

    def begin(self, state: IsacState, elsewhere: int = 0) -> None:
        """Take up a state that nothing is to be kept of."""
        self.job.first(partial(begin_generation, self.job, state))
        announce_round(self.job, state, elsewhere)
        self.state, self.elsewhere = state, elsewhere
        self.generation_began = self.round_began = self.job.progress.seconds

    def keep(self, after: IsacState) -> None:
        """Keep what a step has come to."""
        job, now = self.job, self.job.progress.seconds
        check_same(job.ranks, after)
        if after.generation_done:
            keep_generation(job, self.working, (self.state, after), self.facts)
            took = job.progress.seconds - self.generation_began
            record_generation(job, (self.state, after), took, self.elsewhere)
            self.generation_began = job.progress.seconds
        else:
            note_round(job, after, now - self.round_began)
        self.state, self.round_began = after, job.progress.seconds
        job.first(partial(save_step, job, after))
        announce_round(job, after, self.elsewhere)


def sort_particles(
    job: Job,
    working: WorkingStack,
    facts: RunFacts,
    usable: NDArray[np.int64],
    frames: Frames,
) -> IsacState:
    """Find the classes of the usable images (int64 (m,)), from the last saved step."""
    with job.phase("clustering"):
        if job.first(lambda: _is_in_pools(job)):
            state = _in_pools(job, working, facts, usable, frames)
        else:
            state = _whole(job, working, facts, usable, frames)
        job.progress.end_rounds(accounted_in(state.accounted))
    return state


def _is_in_pools(job: Job) -> bool:
    """Whether a run is to be in pools; what goes on from the classes of another never is."""
    directory = job.directory
    from_another = directory.clustering_state.exists() and not directory.pools_state.exists()
    return bool(job.settings.pool_size) and not from_another


def _whole(
    job: Job, working: WorkingStack, facts: RunFacts, usable: NDArray[np.int64], frames: Frames
) -> IsacState:
    """All images together."""
    state = job.first(lambda: last_state(job)) or start_state(usable)
    follower = _Follower(job, working, facts, state)
    follower.begin(state)
    parameters = job.settings.clustering_parameters()
    seed = job.record.seed
    for after in isac(working.images, parameters, seed, job.workers, state, job.tell_words, frames):
        follower.keep(after)
    return follower.state


def _in_pools(
    job: Job, working: WorkingStack, facts: RunFacts, usable: NDArray[np.int64], frames: Frames
) -> IsacState:
    """Pool by pool, then the classes of all pools together."""
    size, seed = job.settings.pool_size, job.record.seed
    state = _pooled_state(job, usable, size, seed)
    follower = _Follower(job, working, facts, state.running)
    if not are_pools_done(state.pools):
        _begin_pool(job, follower, state)
    parameters = job.settings.clustering_parameters()
    for after in isac_in_pools(
        working.images, parameters, size, seed, job.workers, state, job.tell_words, frames
    ):
        if after.pools is state.pools:
            follower.keep(after.running)
        else:
            check_same(job.ranks, after.pools)
            _record_pools(job, state.pools, after.pools)
            job.first(partial(save_state, job.directory.pools_state, after.pools))
            if not are_pools_done(after.pools):
                _begin_pool(job, follower, after)
        state = after
    rest = left_over(state.pools, state.pools.classes)
    ended = replace(
        start_state(rest),
        main_iteration=state.pools.main_iteration,
        accounted=state.pools.classes,
        finished=True,
    )
    job.first(partial(save_state, job.directory.clustering_state, ended))
    return ended


def _pooled_state(job: Job, usable: NDArray[np.int64], size: int, seed: int) -> PooledState:
    """Where the pools are, as saved; or all of them before anything is done."""
    pools = job.first(lambda: saved_pools(job))
    if pools is None:
        state = start_pools(usable, size, seed)
        job.first(partial(save_state, job.directory.pools_state, state.pools))
    else:
        state = begin_pool(pools)
    if are_pools_done(state.pools):
        return state
    running = job.first(lambda: last_state(job))
    if running is not None and is_of_next_pool(running, state.pools):
        state = replace(state, running=running)
    return state


def _begin_pool(job: Job, follower: _Follower, state: PooledState) -> None:
    pools = state.pools
    job.progress.note(
        f"pool {pools.done + 1} of {pools.count}, splitting {pools.splitting}: "
        f"{len(pools.pool(pools.done))} particles"
    )
    follower.begin(state.running, accounted_in(pools.classes + pools.found))


def _record_pools(job: Job, before: Pools, after: Pools) -> None:
    """Put on record, and tell, what a pool or the matching of all pools has come to."""
    if not are_pools_done(before):
        job.progress.note(f"pool {after.done} of {before.count}: {len(after.found)} classes so far")
        return
    found = len(before.classes) + len(before.found)
    several = sum(len(group.pools) > 1 for group in after.classes)
    accounted = accounted_in(after.classes)
    row = {
        "splitting": before.splitting,
        "pools": before.count,
        "particles": len(before.images),
        "classes_before": found,
        "classes": len(after.classes),
        "of_several_pools": several,
        "accounted_before": accounted_in(before.classes) + accounted_in(before.found),
        "accounted": accounted,
    }
    rows = [r for r in job.record.pools if r["splitting"] < before.splitting]
    job.record.pools[:] = [*rows, row]
    job.first(lambda: write_record(job.directory.run_json, job.record))
    job.progress.note(
        f"{found} classes of {before.count} pools are {len(after.classes)}, {several} of them of "
        f"several pools; {accounted} particles accounted for"
    )
