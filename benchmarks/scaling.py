"""How a run spreads over ranks: measured here, and modelled for more than there are here.

    python benchmarks/scaling.py measure STACK [ranks ...] [-- options of the run]
    python benchmarks/scaling.py model
    python benchmarks/scaling.py pools

Measured is the processor time of the ranks, which a busy machine changes less than the clock: the
efficiency is the time of one rank alone over (ranks x the time of the busiest one). The model is
that of docs/scaling.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import low_pass_ladder
from isac2.run.directory import RunDirectory
from isac2.run.record import RunRecord, read_record

BLOCK = 64  # images that are searched together
AVERAGE_BYTES = 4 * 76**2
POSE_BYTES = 50


@dataclass(frozen=True)
class Costs:
    """Processor time in seconds, measured on the machine of docs/performance.md.

    Attributes
    ----------
    pair : float
        Similarity of an image and a reference.
    image : float
        Everything else for an image in a round: poses, averages, stability test.
    assign : float
        Assignment, a pair; on the first rank.
    average : float
        Filters, coefficients and centring of an average in a pass; on every rank.
    bytes_a_second : float
        That the first rank receives.
    exchange : float
        Latency of an exchange, and of waiting for its end.
    """

    pair: float = 2.4e-6
    image: float = 1.5e-3
    assign: float = 33e-9
    average: float = 1e-3
    bytes_a_second: float = 1e9
    exchange: float = 2e-3


@dataclass(frozen=True)
class RoundModel:
    """Seconds of a round (all pass, test and waiting), and what they are made of."""

    shared: float
    first: float
    every: float
    received: float

    @property
    def seconds(self) -> float:
        """Of the clock."""
        return self.shared + self.first + self.every


def model_round(images: int, images_a_group: int, ranks: int, costs: Costs) -> RoundModel:
    """Return the time of one round of one generation.

    Parameters
    ----------
    images, images_a_group, ranks : int
        Ranks have one thread each.
    costs : Costs
    """
    groups = images // images_a_group
    blocks = ceil(images / BLOCK)
    searched = min(images, ceil(blocks / ranks) * BLOCK)  # by the busiest rank
    tested = ceil(groups / ranks) * images_a_group
    passes = len(low_pass_ladder(ClusteringParameters()))  # of K-means in a round
    shared = passes * searched * groups * costs.pair + tested * costs.image
    others = (ranks - 1) / ranks
    table = passes * images * groups * 4 * others
    results = passes * (images * POSE_BYTES + groups * AVERAGE_BYTES) * others
    tests = (groups * AVERAGE_BYTES + images * POSE_BYTES) * others
    received = table + results + tests
    first = passes * images * groups * costs.assign + received / costs.bytes_a_second
    exchanges = 5 * passes + 3 if ranks > 1 else 0
    every = passes * groups * costs.average + exchanges * costs.exchange
    return RoundModel(shared, first, every, received)


def print_model() -> None:
    """Print the table of docs/scaling.md."""
    print("| particles | groups | ranks | s a round | efficiency | first rank alone | received |")
    print("|---|---|---|---|---|---|---|")
    for images in (50_000, 200_000, 1_000_000):
        alone = model_round(images, 200, 1, Costs()).seconds
        for ranks in (1, 96, 1024):
            found = model_round(images, 200, ranks, Costs())
            share = alone / (ranks * found.seconds)
            print(
                f"| {images:,} | {images // 200:,} | {ranks:,} | {found.seconds:,.1f} | "
                f"{100 * share:.0f} % | {100 * found.first / found.seconds:.0f} % | "
                f"{found.received / 1e6:,.0f} MB |"
            )


@dataclass(frozen=True)
class PoolCosts:
    """As `Costs`, of what comes with pools; measured likewise.

    Attributes
    ----------
    average_pair : float
        Similarity of an image and an average, to full resolution.
    wide_pair : float
        Of two averages of different pools, at 49 translations instead of 9.
    test : float
        Stability test, an image.
    rounds : int
        Rounds of all images that the clustering of a pool amounts to (docs/suggest.md).
    accounted : float
        Share of the images in classes.
    """

    average_pair: float = 3.7e-6
    wide_pair: float = 3.2e-5
    test: float = 8e-4
    rounds: int = 14
    accounted: float = 0.9


@dataclass(frozen=True)
class PoolModel:
    """Hours of the steps of a run in pools, and bytes."""

    clustering: float
    matching: float
    testing: float
    comparing: float
    memory: float
    disk: float

    @property
    def hours(self) -> float:
        """Of all steps."""
        return self.clustering + self.matching + self.testing + self.comparing


def model_pools(
    images: int, pool: int, images_a_group: int, ranks: int, views_come_again: bool
) -> PoolModel:
    """Return what a run takes whose pools are worked on one after the other by all ranks.

    Parameters
    ----------
    images, pool, images_a_group, ranks : int
        A pool of 0 is all images together.
    views_come_again : bool
        Every pool has the same views, so that as many classes are left as one pool has; else none
        is merged, which is the most that can be left.
    """
    costs, more = Costs(), PoolCosts()
    pool = min(pool or images, images)
    pools = ceil(images / pool)
    clustering = pools * more.rounds * model_round(pool, images_a_group, ranks, costs).seconds
    before = more.accounted * images / images_a_group
    after = before / pools if views_come_again else before
    turns = ceil(log2(pools)) if pools > 1 else 0
    # each turn compares all classes, and there are half as many in the next if they are merged
    matching = (4 / 3 if views_come_again else 1) * before**2 * more.wide_pair * (pools > 1)
    testing = (turns + 1) * more.accounted * images * more.test  # and once at the end
    # margins, and what is left, with all classes; with pools also members, before they are merged
    comparing = images * (after + before * (pools > 1)) * more.average_pair
    shared = ceil(before / ranks) * ranks / before  # a class is tested on one rank
    table = pool * (pool / images_a_group) * 4
    memory = images * 500 + table + 4 * before * AVERAGE_BYTES
    disk = images * (AVERAGE_BYTES + 2000) + 30 * before * AVERAGE_BYTES
    return PoolModel(
        clustering / 3600,
        matching / ranks / 3600,
        testing * shared / ranks / 3600,
        comparing / ranks / 3600,
        memory,
        disk,
    )


def print_pools() -> None:
    """Print the table of pools of docs/scaling.md: 96 ranks."""
    print("| particles | pool | classes left | clustering | matching | testing | comparing | all | "
          "memory, first rank | disk |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for images in (100_000, 1_000_000, 10_000_000):
        for pool, again in ((0, False), (50_000, True), (50_000, False)):
            found = model_pools(images, pool, 200, 96, again)
            left = PoolCosts.accounted * images / 200
            left = left / ceil(images / pool) if again else left
            hours = (found.clustering, found.matching, found.testing, found.comparing, found.hours)
            print(
                f"| {images:,} | {f'{pool:,}' if pool else 'all'} | {left:,.0f} | "
                + " | ".join(f"{value:,.1f} h" for value in hours)
                + f" | {found.memory / 1e9:,.1f} GB | {found.disk / 1e9:,.0f} GB |"
            )


def measure(stack: str, ranks: int, options: list[str], folder: Path) -> RunRecord:
    """Run a stack on so many ranks of one thread."""
    program = Path(sys.executable)
    words = [str(program.with_name("mpirun")), "--oversubscribe", "--bind-to", "none", "-np"]
    command = [str(program.with_name("sp_isac2.py")), stack, str(folder), "--threads=1", *options]
    subprocess.run([*words, str(ranks), *command], check=True)
    return read_record(RunDirectory(folder).run_json)


def print_measured(stack: str, counts: list[int], options: list[str]) -> None:
    """Print a table of phases, and of all of them together."""
    alone: dict[str, float] = {}
    rows = ["| ranks | phase | core-seconds of all | of the busiest | efficiency | received |"]
    rows.append("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for ranks in counts:
            record = measure(stack, ranks, options, Path(name) / f"run{ranks}")
            phases = [phase for phase in record.phases if phase["name"] != "report"]
            total = {key: sum(phase.get(key, 0) for phase in phases) for key in phases[0]
                     if key != "name"}  # fmt: skip
            for phase in [*phases, {"name": "all", **total}]:
                most = phase["most_core_seconds"]
                alone.setdefault(phase["name"], most)
                rows.append(
                    f"| {ranks} | {phase['name']} | {ranks * phase['mean_core_seconds']:.1f} | "
                    f"{most:.1f} | {100 * alone[phase['name']] / (ranks * most):.0f} % | "
                    f"{phase.get('received_bytes', 0) / 1e6:.1f} MB |"
                )
    print("\n".join(rows))


def main(words: list[str]) -> None:
    """Do what is asked for."""
    if words[:1] == ["model"]:
        print_model()
    elif words[:1] == ["pools"]:
        print_pools()
    elif words[:1] == ["measure"] and len(words) > 1:
        cut = words.index("--") if "--" in words else len(words)
        counts = [int(word) for word in words[2:cut]] or [1, 2, 4, 8]
        print_measured(words[1], counts, words[cut + 1 :])
    else:
        print(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
