"""The run directory: the name of every file in it, and whether a folder is one of ours."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isac2.errors import InputError
from isac2.run.lock import LOCK_NAME, read_owner

__all__ = ["GenerationDirectory", "MainDirectory", "RunDirectory", "open_run_directory"]

_PROGRAM = "isac2"


@dataclass(frozen=True)
class GenerationDirectory:
    """Files of one generation, under SPHIRE's names and under those of the manual page.

    Attributes
    ----------
    path : pathlib.Path
        The folder, ``mainMMM/generationGGG``.
    main_iteration, generation : int
        Counted from 1; generation 0 only says what a main iteration starts from.
    """

    path: Path
    main_iteration: int
    generation: int

    def _numbered(self, stem: str, suffix: str) -> Path:
        return self.path / f"{stem}_{self.main_iteration:03d}_{self.generation:03d}.{suffix}"

    @property
    def class_averages(self) -> Path:
        """All groups of the generation, `members` being ids of the input stack."""
        return self._numbered("class_averages", "hdf")

    @property
    def original_class_averages(self) -> Path:
        """The same groups, `members` counting the images that the generation worked on."""
        return self._numbered("original_class_averages", "hdf")

    @property
    def good_class_averages(self) -> Path:
        """The groups that became classes, `members` being ids of the input stack."""
        return self._numbered("good_class_averages", "hdf")

    @property
    def to_process_next(self) -> Path:
        """Ids of the images that the next generation works on."""
        return self._numbered("to_process_next", "txt")

    @property
    def manual_candidates(self) -> Path:
        """`class_averages` under the name of the manual page."""
        return self.path / f"class_averages_candidate_generation_{self.generation}.hdf"

    @property
    def manual_class_averages(self) -> Path:
        """`good_class_averages` under the name of the manual page."""
        return self.path / f"class_averages_generation_{self.generation}.hdf"

    @property
    def accounted(self) -> Path:
        """Ids of the images that became members of a class in this generation."""
        return self.path / f"generation_{self.generation}_accounted.txt"

    @property
    def unaccounted(self) -> Path:
        """`to_process_next` under the name of the manual page."""
        return self.path / f"generation_{self.generation}_unaccounted.txt"

    @property
    def finished(self) -> Path:
        """Marks that the folder is complete."""
        return self.path / "finished"


@dataclass(frozen=True)
class MainDirectory:
    """Files of one main iteration, ``mainMMM``; each shows the run as it is after it."""

    path: Path
    main_iteration: int

    def generation(self, generation: int) -> GenerationDirectory:
        """The folder of a generation; 0 is what the main iteration starts from."""
        folder = self.path / f"generation{generation:03d}"
        return GenerationDirectory(folder, self.main_iteration, generation)

    @property
    def class_averages(self) -> Path:
        """All classes so far."""
        return self.path / "class_averages.hdf"

    @property
    def processed_images(self) -> Path:
        """Ids of the images accounted for so far."""
        return self.path / "processed_images.txt"

    @property
    def not_processed_images(self) -> Path:
        """Ids of all other images."""
        return self.path / "not_processed_images.txt"

    @property
    def finished(self) -> Path:
        """Marks that the main iteration is complete."""
        return self.path / "finished"


@dataclass(frozen=True)
class RunDirectory:
    """Everything a run leaves, by name.

    Examples
    --------
    >>> directory = RunDirectory(Path("classes"))
    >>> directory.main(1).generation(2).good_class_averages.name
    'good_class_averages_001_002.hdf'
    """

    path: Path

    def main(self, main_iteration: int) -> MainDirectory:
        """The folder of a main iteration, counted from 1."""
        return MainDirectory(self.path / f"main{main_iteration:03d}", main_iteration)

    @property
    def class_averages(self) -> Path:
        """All class averages, with members and quality in their headers."""
        return self.path / "class_averages.hdf"

    @property
    def ordered_class_averages(self) -> Path:
        """The averages along a tour of similar neighbours, turned to match."""
        return self.path / "ordered_class_averages.hdf"

    @property
    def chains_params(self) -> Path:
        """The tour: new index, class index, and the pose that turned the average."""
        return self.path / "chains_params.txt"

    @property
    def reproducibility(self) -> Path:
        """What a comparison with other runs says of each class; with ``.txt``, of each particle."""
        return self.path / "reproducibility.json"

    @property
    def processed_images(self) -> Path:
        """Ids of the images in a class."""
        return self.path / "processed_images.txt"

    @property
    def not_processed_images(self) -> Path:
        """Ids of all other images."""
        return self.path / "not_processed_images.txt"

    @property
    def all_parameters(self) -> Path:
        """Pose of each input image in its class, after the pre-alignment, in working pixels."""
        return self.path / "all_parameters.txt"

    @property
    def shrink_ratio_readme(self) -> Path:
        """Working pixels in an input pixel, and the radius, for people and programs."""
        return self.path / "README_shrink_ratio.txt"

    @property
    def particles_star(self) -> Path:
        """Every input particle with its class and pose, as RELION reads it."""
        return self.path / "particles.star"

    @property
    def particles_cs(self) -> Path:
        """The same as cryoSPARC reads it; only when the input was cryoSPARC's."""
        return self.path / "particles.cs"

    @property
    def class_averages_mrcs(self) -> Path:
        """The averages as an MRC stack."""
        return self.path / "class_averages.mrcs"

    @property
    def class_averages_star(self) -> Path:
        """The table of the averages in `class_averages_mrcs`."""
        return self.path / "class_averages.star"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    @property
    def run_json(self) -> Path:
        """Options, versions, seed, input, times and memory."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """What happened when."""
        return self.path / "isac2.log"

    @property
    def lock(self) -> Path:
        """Who works in the folder; only while a run goes on."""
        return self.path / LOCK_NAME

    @property
    def finished(self) -> Path:
        """Marks that the run is complete."""
        return self.path / "finished"

    @property
    def prealignment(self) -> Path:
        """Folder of the pre-alignment."""
        return self.path / "2dalignment"

    @property
    def initial_parameters(self) -> Path:
        """Shift of each input image found by the pre-alignment, input pixels."""
        return self.prealignment / "initial2Dparams.txt"

    @property
    def global_average(self) -> Path:
        """Average of all images after the pre-alignment."""
        return self.prealignment / "aqfinal.hdf"

    @property
    def prealignment_averages(self) -> Path:
        """The average after each round of the pre-alignment."""
        return self.prealignment / "aqm.hdf"

    @property
    def working_images(self) -> Path:
        """The prepared images, float32 (count, n, n), rows as in the input; NumPy's format."""
        return self.path / "working_images.npy"

    @property
    def spectrum_weights(self) -> Path:
        """Factors that equalise the power spectra or whiten the noise, one a ring."""
        return self.path / "rpw.txt"

    @property
    def state(self) -> Path:
        """Folder of what a run needs to go on after it was stopped."""
        return self.path / "state"

    @property
    def input_state(self) -> Path:
        """How the files of the input were when they were read."""
        return self.state / "input.npz"

    @property
    def spectrum_state(self) -> Path:
        """Factors that equalise the power spectra or whiten the noise; all 1 for neither."""
        return self.state / "spectrum.npz"

    @property
    def working_images_state(self) -> Path:
        """Checksums of the working images."""
        return self.state / "working_images.npz"

    @property
    def prealignment_state(self) -> Path:
        """What the pre-alignment found."""
        return self.state / "prealignment.npz"

    @property
    def prealignment_images(self) -> Path:
        """Images for the pre-alignment; removed after it."""
        return self.state / "prealignment_images.npy"

    @property
    def clustering_state(self) -> Path:
        """Where the clustering is."""
        return self.state / "clustering.npz"

    @property
    def pools_state(self) -> Path:
        """Which pools there are, and what has come of those that are done."""
        return self.state / "pools.npz"

    def state_after_main(self, main_iteration: int) -> Path:
        """Where the clustering was at the end of a main iteration."""
        return self.state / f"main{main_iteration:03d}.npz"

    def is_new(self) -> bool:
        """Whether no run has begun here."""
        return not self.run_json.exists()

    def last_finished_main(self) -> int:
        """Number of the last main iteration that is complete, 0 for none."""
        main_iteration = 0
        while self.main(main_iteration + 1).finished.exists():
            main_iteration += 1
        return main_iteration

    def remove_after_main(self, main_iteration: int) -> None:
        """Remove what main iterations after this one left, and the marker of a finished run."""
        self.finished.unlink(missing_ok=True)
        for folder in sorted(self.path.glob("main[0-9][0-9][0-9]*"), reverse=True):
            if folder.name[4:].isdigit() and int(folder.name[4:]) > main_iteration:
                # without the marker first, a removal that is interrupted would leave a folder that
                # looks complete
                (folder / "finished").unlink(missing_ok=True)
                shutil.rmtree(folder)

    def remove_beginning(self) -> None:
        """Remove what a run leaves before its first generation, and the folder if that is all."""
        for folder in (self.state, self.prealignment):
            shutil.rmtree(folder, ignore_errors=True)
        unusable = self.working_images.with_name(f"{self.working_images.stem}.unusable.txt")
        for path in (self.working_images, unusable, self.spectrum_weights, self.log, self.run_json):
            path.unlink(missing_ok=True)
        # what somebody else has put there meanwhile stays
        with suppress(OSError):
            self.path.rmdir()


def open_run_directory(path: str | os.PathLike[str]) -> RunDirectory:
    """Return the run directory at `path`: one of ours, or a place where one can be made.

    Nothing is created.

    Raises
    ------
    InputError
        When `path` is a file, a link without a target, or a folder with something else in it.
    """
    folder = Path(path)
    directory = RunDirectory(folder)
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            raise InputError(
                f"{place} is a link that leads nowhere: remove it, or give another folder for the "
                "output."
            )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the name of a new folder for the output.")
    if not directory.run_json.exists():
        if folder.is_dir() and any(_foreign_names(folder)):
            raise InputError(
                f"{folder} holds files and is not the directory of a run: give the name of a new "
                "folder for the output."
            )
        return directory
    try:
        record = json.loads(directory.run_json.read_text(encoding="utf-8"))
        ours = isinstance(record, dict) and record.get("program") == _PROGRAM
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise InputError(
            f"{directory.run_json} was not written by isac2: give the name of a new folder for the "
            "output."
        )
    return directory


def _foreign_names(folder: Path) -> list[str]:
    """Names in a folder, less what a run leaves that is killed in its first moment."""
    return [entry.name for entry in folder.iterdir() if not _is_a_beginning(entry)]


def _is_a_beginning(entry: Path) -> bool:
    if entry.name == LOCK_NAME and entry.is_file():
        return entry.stat().st_size == 0 or read_owner(entry) is not None
    if entry.name == "state" and entry.is_dir():
        return not any(entry.iterdir())
    return entry.name.startswith(".run.") and ".tmp" in entry.name
