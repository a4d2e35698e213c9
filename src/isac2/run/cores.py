"""How many cores a program has been given: by affinity, control groups and Slurm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CGROUP", "available_cores", "limited_cores", "own_cores"]

CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def available_cores(cgroup: Path = CGROUP, own_groups: Path = _OWN_GROUPS) -> int:
    """Return how many cores this process may use: its affinity, less what it was given.

    Slurm says what a task was given also where nothing holds it to that.

    Parameters
    ----------
    cgroup, own_groups : pathlib.Path
        Where control groups are mounted, and the list of those that this process is in.
    """
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")
    return limited_cores(len(own_cores()), given, cgroup, own_groups)


def own_cores() -> frozenset[int]:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def limited_cores(
    cores: int, given: str, cgroup: Path = CGROUP, own_groups: Path = _OWN_GROUPS
) -> int:
    """Return cores, less what the control groups and Slurm (a number in words) allow."""
    quota = min(_quotas(cgroup, own_groups), default=None)
    if quota is not None:
        cores = min(cores, int(quota))  # of a core and a half one
    if given.isdigit():
        cores = min(cores, int(given))
    return max(1, cores)


def _quotas(cgroup: Path, own_groups: Path) -> Iterator[float]:
    """Yield the cores' worth of processor time that each group around this process allows.

    A container often sees its own group as the root; on the machine itself, as in a job of Slurm or
    systemd, it lies deeper, and the limit may be that of any group around it. Both versions.
    """
    for root, group in [
        (cgroup, Path("/")),
        (cgroup / "cpu", Path("/")),
        *_groups(cgroup, own_groups),
    ]:
        for path in (group, *group.parents):
            quota = _quota(root / path.relative_to("/"))
            if quota is not None:
                yield quota


def _groups(cgroup: Path, own_groups: Path) -> Iterator[tuple[Path, Path]]:
    """Yield where the hierarchies that limit time are mounted, and this process's group in each."""
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, group = line.split(":", 2)
        if not group.startswith("/") or ".." in Path(group).parts:
            continue
        if not controllers:
            yield cgroup, Path(group)
            yield cgroup / "unified", Path(group)
        elif "cpu" in controllers.split(","):
            yield cgroup / controllers, Path(group)
            yield cgroup / "cpu", Path(group)


def _quota(folder: Path) -> float | None:
    """Cores' worth of processor time that a control group allows, or None without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
