"""Hold results against the truth, and results of several seeds against each other."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.programs import Stack, hash_of_sources
from benchmarks.quality.sets import QualitySet
from isac2.after.compare import compare_runs
from isac2.after.fidelity import measure_fidelity
from isac2.classes.evaluate_files import evaluate_run, read_classification, read_truth
from isac2.files import write_text_atomic

__all__ = ["SCORERS", "agreement_of_seeds", "score_result"]

# what reads results and truths, and makes averages and clean views; of the engine nothing does
SCORERS = ("after/fidelity.py", "classes", "images", "lanes.py", "poses.py", "simulate", "stacks")


def score_result(folder: Path, item: QualitySet, stack: Stack) -> dict[str, Any]:
    """Return the scores of a result; those that were made in the same way are kept."""
    key = _scorer_version(item, stack)
    kept = folder / "scores.json"
    if kept.exists():
        scores: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        if scores.get("scorer") == key:
            return scores
    text = json.dumps({"scorer": key, **_score(folder / "found.star", item, stack)}, indent=2)
    write_text_atomic(kept, text + "\n")
    return dict(json.loads(text))


def _scorer_version(item: QualitySet, stack: Stack) -> str:
    told = f"{item.symmetry} {stack.radius_in_pixels} {hash_of_sources(SCORERS)}"
    return hashlib.sha256(Path(__file__).read_bytes() + told.encode()).hexdigest()[:10]


def _score(found: Path, item: QualitySet, stack: Stack) -> dict[str, Any]:
    symmetries = item.symmetry.split(",")
    if stack.truth is None:
        return _without_truth(found, stack.images)
    made = evaluate_run(
        found, stack.truth, radius=stack.radius_in_pixels, symmetries=symmetries
    ).as_dict()
    made.pop("per_class")
    if stack.simulation is not None:
        fidelity = measure_fidelity(found, stack.simulation, symmetries)
        made["average_resolution"] = fidelity.as_dict()["resolution_in_angstroms"]
        made["average_correlation"] = fidelity.mean_correlation
    made |= _after_selection(found, stack)
    pose = made.pop("pose") or {}
    made["pixel_error"] = pose.get("pixel_error_median")
    made["mirror_agreement"] = pose.get("mirror_agreement")
    return made


def _after_selection(found: Path, stack: Stack) -> dict[str, float | None]:
    """Return the shares that are left when classes that are mostly junk are thrown away.

    The best that somebody who looks at the classes could do: it takes the truth to choose them.
    """
    assert stack.truth is not None
    truth = read_truth(stack.truth)
    classes = read_classification(found, stack.images).class_of_particle
    good, kept = truth.junk == 0, classes >= 0
    for number in np.unique(classes[kept]):
        members = classes == number
        if good[members].mean() < 0.5:
            kept &= ~members
    return {
        "good_selected": float(kept[good].mean()),
        "junk_selected": float(kept[~good].mean()) if (~good).any() else None,
    }


def _without_truth(found: Path, images: int) -> dict[str, Any]:
    classes = read_classification(found, images).class_of_particle
    sizes = np.bincount(classes[classes >= 0])
    return {
        "particles": images,
        "classes": int((sizes > 0).sum()),
        "class_sizes": sizes[sizes > 0].tolist(),
        "accounted": float((classes >= 0).mean()),
    }


def agreement_of_seeds(folders: list[Path]) -> float | None:
    """Return the mean adjusted Rand index of every two results, on what both have in classes."""
    if len(folders) < 2:
        return None
    runs = compare_runs([folder / "found.star" for folder in folders])
    pairs = combinations(range(len(folders)), 2)
    return float(np.mean([runs.rand_index[i, j] for i, j in pairs]))
