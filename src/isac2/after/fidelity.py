"""Class averages of any program against clean projections: from a simulation's folder to scores.

Every class is averaged here, in the same way whatever program made it: all its members, from the
pixels of the stack, in the poses found, their CTFs corrected in full. What is scored is therefore
who is in a class and in which pose, not how a program draws its averages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.classes.beautify import BeautifyParameters, beautify_class
from isac2.classes.evaluate import ClassFrame, find_class_frames
from isac2.classes.evaluate_files import read_classification, read_truth
from isac2.classes.fidelity import Fidelity, correlate_with_clean, score_average, summarise
from isac2.errors import InputError
from isac2.simulate import Recipe
from isac2.simulate.projection import project_molecule
from isac2.simulate.stack import make_molecule
from isac2.stacks import open_stack

__all__ = ["measure_fidelity"]


def measure_fidelity(
    run: str | os.PathLike[str],
    simulation: str | os.PathLike[str],
    symmetries: Sequence[str] = ("C1",),
) -> Fidelity:
    """Correlate each class's average with the clean projection that it should show.

    Parameters
    ----------
    run : path-like
        A run directory of isac2 or SPHIRE, or a star file with classes and 2D poses.
    simulation : path-like
        The folder that `isac2 simulate` wrote, with the particles, their truth and the recipe.
    symmetries : sequence of str
        Point group of each molecule.

    Returns
    -------
    Fidelity
        Empty for filaments, whose truth does not say which of their equal views an average is.

    Raises
    ------
    InputError
        When the folder is no simulation's, or the run has no poses.
    """
    folder = Path(simulation)
    recipe, radius = _read_recipe(folder / "recipe.json")
    truth = read_truth(folder / "truth.npz")
    found = read_classification(run, len(truth))
    if recipe.orientations == "helical":
        return summarise([])
    if found.poses is None:
        raise InputError(f"'{run}' has no 2D poses, so its classes cannot be averaged.")
    stack = open_stack(folder / "particles.star")
    parameters = BeautifyParameters(radius, recipe.pixel_size_in_angstroms, low_pass=None)
    frames = find_class_frames(found.class_of_particle, truth, found.poses, symmetries)
    scores = []
    for frame, clean in zip(frames, _clean_projections(frames, recipe), strict=True):
        rows = np.flatnonzero(found.class_of_particle == frame.identifier)
        ctf = stack.metadata.ctf_parameters(rows) if recipe.ctf else None
        made = beautify_class(stack.read(rows), found.poses[rows], parameters, ctf)
        curve = correlate_with_clean(made.average, clean, radius)
        score = score_average(frame.identifier, len(rows), curve, recipe.pixel_size_in_angstroms)
        scores.append(score)
    return summarise(scores)


def _clean_projections(frames: Sequence[ClassFrame], recipe: Recipe) -> NDArray[np.float32]:
    """Return what each class's average should show, float32 (k, box, box)."""
    labels = np.array([frame.label or 0 for frame in frames], np.int64)
    clean = np.empty((len(frames), recipe.box, recipe.box), np.float32)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        of_molecule = [frames[row] for row in rows.tolist()]
        clean[rows] = project_molecule(
            make_molecule(recipe.molecules[label], recipe),
            np.stack([frame.orientation for frame in of_molecule]),
            np.stack([frame.centre for frame in of_molecule]),
            recipe.box,
            recipe.pixel_size_in_angstroms,
        )
    return clean


def _read_recipe(path: Path) -> tuple[Recipe, float]:
    """Read what `simulate_stack` has written: the recipe, and the particle's radius, pixels."""
    try:
        values = json.loads(path.read_text("utf-8"))
        radius = float(values.pop("radius_in_pixels"))
        values.pop("symmetries")
        for name in ("molecules", "junk_kinds", "defocus_in_micrometres"):
            values[name] = tuple(values[name])
        return Recipe(**{**values, "snr": float(values["snr"])}), radius
    except FileNotFoundError:
        raise InputError(
            f"'{path.parent}' holds no recipe.json: give the folder of a simulation."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"'{path}' is not the recipe of a simulation.") from None
