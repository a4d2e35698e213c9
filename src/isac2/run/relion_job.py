"""A run as a job of RELION (*External*): in its folder, with the files that RELION looks for.

RELION starts a job in its project's folder and has put files of its own into the job's folder. So
the run has a folder of its own in there, ``run``; what RELION goes on with lies beside it, with
names that start from the project.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from isac2.files import write_text_atomic
from isac2.run.directory import RunDirectory
from isac2.run.repeating import repeating
from isac2.run.stopping import RunStopped
from isac2.stacks import StarTable, WriteOptions, open_stack, read_star, write_stack, write_star
from isac2.stacks._text import text_column
from isac2.stacks.selection import accounted_images

__all__ = ["as_relion_job", "run_folder", "write_job_files"]

_SUCCESS, _FAILURE, _ABORTED = (
    f"RELION_JOB_EXIT_{end}" for end in ("SUCCESS", "FAILURE", "ABORTED")
)
_ABORT_NOW = "RELION_JOB_ABORT_NOW"
_NODES = "RELION_OUTPUT_NODES.star"
_DATA, _MODEL, _OPTIMISER = "isac2_data.star", "isac2_model.star", "isac2_optimiser.star"
_WATCH_SECONDS = 2.0

# RELION 3 tells the kinds of files by number, RELION 4 and later by label
_NODE_KINDS = {
    _DATA: (3, "ParticleGroupMetadata.star.relion.class2d"),
    _MODEL: (8, "ModelData.star.relion.class2d"),
    _OPTIMISER: (9, "OptimiserData.star.relion.class2d"),
}


def run_folder(job: Path) -> Path:
    """Folder of the run of a job."""
    return job / "run"


@contextmanager
def as_relion_job(job: Path) -> Iterator[None]:
    """Tell RELION how the block ends, and stop it when RELION asks to.

    Parameters
    ----------
    job : pathlib.Path
        The job's folder, made if need be.
    """
    job.mkdir(parents=True, exist_ok=True)
    for name in (_SUCCESS, _FAILURE, _ABORTED, _ABORT_NOW):
        (job / name).unlink(missing_ok=True)
    try:
        with _stopping_when_asked(job / _ABORT_NOW):
            yield
    except BaseException as error:
        aborted = isinstance(error, RunStopped) and (job / _ABORT_NOW).exists()
        (job / _ABORT_NOW).unlink(missing_ok=True)
        (job / (_ABORTED if aborted else _FAILURE)).touch()
        raise
    (job / _SUCCESS).touch()


def _stopping_when_asked(sign: Path) -> AbstractContextManager[None]:
    """Have the process asked to end, as by a queue, once a file is there."""

    def watch() -> bool:
        if not sign.exists():
            return True
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    return repeating(watch, _WATCH_SECONDS, "isac2-relion")


def write_job_files(job: Path, project: Path) -> None:
    """Write what RELION's display, its class selection and its next jobs open.

    ``isac2_data.star`` has the particles that are in a class; ``isac2_model.star`` the classes;
    ``isac2_optimiser.star`` names the two for RELION 4 and later; ``RELION_OUTPUT_NODES.star``
    lists them. A run without classes has none of them.

    Parameters
    ----------
    job, project : pathlib.Path
        Names in the files start from the project's folder.
    """
    directory = RunDirectory(run_folder(job))
    if not directory.class_averages_star.exists():
        for name in (*_NODE_KINDS, _NODES):
            (job / name).unlink(missing_ok=True)
        return
    particles = accounted_images(open_stack(directory.particles_star))
    write_stack(
        job / _DATA, particles, WriteOptions(names_relative_to=project, keep_existing=False)
    )
    write_star(job / _MODEL, _model(directory, project))
    names = {
        "rlnModelStarFile": _from_project(job / _MODEL, project),
        "rlnExperimentalDataStarFile": _from_project(job / _DATA, project),
    }
    write_text_atomic(job / _OPTIMISER, _one_row("optimiser_general", names))
    rows = [(_from_project(job / name, project), *kind) for name, kind in _NODE_KINDS.items()]
    labels = ("rlnPipeLineNodeName", "rlnPipeLineNodeType", "rlnPipeLineNodeTypeLabel")
    columns = dict(zip(labels, zip(*rows, strict=True), strict=True))
    table = StarTable({name: text_column(np.array(values)) for name, values in columns.items()})
    write_star(job / _NODES, {"output_nodes": table})


def _model(directory: RunDirectory, project: Path) -> dict[str, StarTable]:
    """Return the tables of the classes, with the averages named from the project."""
    table = read_star(directory.class_averages_star)["model_classes"]
    stack = _from_project(directory.class_averages_mrcs, project)
    names = [f"{number:06d}@{stack}" for number in range(1, len(table) + 1)]
    columns = {**table.columns, "rlnReferenceImage": text_column(np.array(names))}
    averages = open_stack(directory.class_averages_mrcs)
    general = {
        "rlnReferenceDimensionality": "2",
        "rlnDataDimensionality": "2",
        "rlnOriginalImageSize": str(averages.box_size),
        "rlnCurrentImageSize": str(averages.box_size),
        "rlnPixelSize": f"{float(averages.metadata.pixel_size_in_angstroms[0]):.6f}",
        "rlnNrClasses": str(len(table)),
        "rlnNrBodies": "1",
        "rlnNrGroups": "1",
    }
    alone = {name: text_column(np.array([value])) for name, value in general.items()}
    return {
        "model_general": StarTable(alone, is_loop=False),
        "model_classes": StarTable(columns),
    }


def _one_row(name: str, values: dict[str, str]) -> str:
    """Return a table of one row as STAR text."""
    rows = "".join(f"_{label:34s} {value}\n" for label, value in values.items())
    return f"# version 30001\n\ndata_{name}\n\n{rows}\n"


def _from_project(path: Path, project: Path) -> str:
    return Path(os.path.relpath(path, project)).as_posix()
