"""How far the final classes can be believed: measured at the end of a run, and put on record."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.clustering.confidence import (
    ClassConfidence,
    RandomGroups,
    judge_classes,
    test_random_groups,
)
from isac2.clustering.state import IsacState
from isac2.run.generation_files import MeasuredGroup
from isac2.run.job import Job
from isac2.run.prepare import WorkingStack

__all__ = ["Judgement", "judge"]

_RANDOM_GROUPS = 20


@dataclass(frozen=True)
class Judgement:
    """What was found out about each final class, and about groups of unrelated particles."""

    classes: list[ClassConfidence]
    random: RandomGroups

    def added_to(self, measured: list[MeasuredGroup]) -> list[MeasuredGroup]:
        """Final classes with what was found out about them."""
        return [
            replace(
                entry,
                confidence=found,
                chance=self.random.chance(found.stable_again, len(found.margin)),
            )
            for entry, found in zip(measured, self.classes, strict=True)
        ]


def judge(job: Job, working: WorkingStack, state: IsacState) -> Judgement | None:
    """Judge the final classes; None when that is to be left out or there are none."""
    if job.settings.skip_confidence or not state.accounted:
        return None
    parameters, seed = job.settings.clustering_parameters(), job.record.seed
    usable = np.setdiff1d(np.arange(len(working.images)), working.unusable)
    with job.phase("confidence"):
        job.tell_words("testing the final classes again")
        classes = judge_classes(working.images, state.accounted, parameters, seed, job.workers)
        job.tell_words("testing random groups")
        random = test_random_groups(
            working.images, usable, _RANDOM_GROUPS, parameters, seed, job.workers
        )
        _put_on_record(job, classes, random)
    return Judgement(classes, random)


def _put_on_record(job: Job, classes: list[ClassConfidence], random: RandomGroups) -> None:
    minimum = job.settings.minimum_group_size
    passed, highest = random.passing(minimum)
    job.record.random_groups = {
        "size": random.size,
        "stable": random.stable.tolist(),
        "passed": passed,
        "highest_rate": round(highest, 4),
    }
    members = sum(len(found.margin) for found in classes)
    again = sum(found.stable_again for found in classes)
    job.progress.note(
        f"{100 * again / members:.1f} % of the particles in classes are stable in new alignments, "
        f"{100 * _share_ahead(classes):.1f} % prefer their class to every other; of "
        f"{len(random.stable)} random groups of {random.size} particles {passed} would be a class "
        f"(at most {100 * highest:.0f} % would, with 95 % confidence), "
        f"{100 * random.stable.mean() / random.size:.1f} % of their particles are stable"
    )


def _share_ahead(classes: list[ClassConfidence]) -> float:
    margins: NDArray[np.float64] = np.concatenate([found.margin for found in classes])
    return float((margins > 0).mean())
