"""How far the sorting of a run is, from what it saved last: whole, or pool by pool."""

from __future__ import annotations

from dataclasses import dataclass

from isac2.clustering.state import IsacState, Pools, StableGroup
from isac2.run.checkpoint import load_pools, load_state
from isac2.run.directory import RunDirectory

__all__ = ["Standing", "are_pools_done", "is_of_next_pool", "read_standing"]


@dataclass(frozen=True)
class Standing:
    """How far the sorting is.

    Attributes
    ----------
    running : IsacState or None
        Of the clustering that goes on; None before its first step, and when pools are done.
    pools : Pools or None
        None where all images are sorted together.
    """

    running: IsacState | None
    pools: Pools | None

    @property
    def classes(self) -> tuple[StableGroup, ...]:
        """All classes so far: those of earlier pools, too."""
        own = () if self.running is None else self.running.accounted
        return own if self.pools is None else (*self.pools.classes, *self.pools.found, *own)

    @property
    def finished(self) -> bool:
        """Whether the sorting is over."""
        if self.pools is not None:
            return self.pools.finished
        return self.running is not None and self.running.finished

    @property
    def place(self) -> tuple[int, int, int]:
        """Main iteration and generation from 1, and rounds of it that are done; 0 for nowhere."""
        if self.finished or (self.pools is not None and are_pools_done(self.pools)):
            return (0, 0, 0)
        if self.running is None:
            return (1 if self.pools is None else self.pools.main_iteration, 1, 0)
        if self.running.main_done or self.running.finished:
            return (self.running.main_iteration + 1, 1, 0)
        if self.running.generation_done:
            return (self.running.main_iteration, self.running.generation + 1, 0)
        return (self.running.main_iteration, self.running.generation, self.running.sac_round)


def are_pools_done(pools: Pools) -> bool:
    """Whether no pool is to be clustered before all are brought together, or ever."""
    return pools.finished or pools.done == pools.count


def is_of_next_pool(state: IsacState, pools: Pools) -> bool:
    """Whether a state is of the pool that comes next, and not of one that is done.

    A run may have been stopped between the end of a pool and the first step of the next.
    """
    return not are_pools_done(pools) and state.main_iteration >= pools.main_iteration


def read_standing(directory: RunDirectory) -> Standing | None:
    """Read how far the sorting is, also while it goes on; None when nothing has been saved.

    Raises
    ------
    RunError
        What was saved is damaged.
    """
    # in this order: a pool's last step is saved before it counts as done
    files = directory.clustering_state, directory.pools_state
    running = load_state(files[0]) if files[0].exists() else None
    pools = load_pools(files[1]) if files[1].exists() else None
    if pools is not None and running is not None and not is_of_next_pool(running, pools):
        running = None
    return None if running is None and pools is None else Standing(running, pools)
