"""The one table of options: it makes the command line, the checks and the page of the manual.

Each field of `Settings` carries an `Option`: the name that users have always typed, its
unit, range and meaning. Nothing else in the package spells an option's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from isac2.clustering.parameters import ClusteringParameters
from isac2.devices import DEVICES
from isac2.errors import InputError
from isac2.run.option import Option, checked_value

__all__ = [
    "Settings",
    "check_words",
    "is_default",
    "option_default",
    "option_table",
    "smallest_class_for",
]

_SMALLEST_CLASS_SHARE = 0.6  # of a group


def _row(default: Any, name: str, value_type: type, text: str, **more: Any) -> Any:
    """Make a dataclass field that carries its option."""
    option = Option(name, value_type, text, **more)
    return field(default=default, metadata={"option": option})


@dataclass(frozen=True)
class Settings:
    """Everything a user can set for a run; creating one checks it.

    Lengths are pixels, of the input images for `radius` and `filament_width`, else of the working
    images. `option_table` gives each field's historical name, unit, range and meaning.

    Raises
    ------
    InputError
        A value of the wrong kind, out of range, or at odds with another; one sentence says which.

    Examples
    --------
    >>> settings = Settings(radius=42, images_per_group=100, minimum_group_size=40)
    >>> settings.shrink_ratio  # 29 / 42
    0.6904761904761905
    >>> Settings(radius=42, images_per_group=50).minimum_group_size  # left out: 60 % of a group
    30
    >>> Settings(radius=42, images_per_group=50, minimum_group_size=60)
    Traceback (most recent call last):
        ...
    isac2.errors.InputError: --minimum_grp_size=60 is larger than --img_per_grp=50: ...
    """

    radius: int = _row(
        MISSING,
        "radius",
        int,
        "Radius of the particle in the input images.",
        group="main",
        unit="input px",
        minimum=1,
        automatic="measured on a sample of the images, as 'isac2 suggest' does",
    )
    images_per_group: int = _row(
        200,
        "img_per_grp",
        int,
        "Images a class should ideally have; n images are sorted into n // img_per_grp groups.",
        group="main",
        unit="images",
        minimum=2,
        automatic="a twentieth of the images, from 50 to 200",
    )
    phase_flip: bool = _row(
        False,
        "CTF",
        bool,
        "Flip the phases by the CTF that the stack's metadata gives; for cryo data. "
        "Not with --VPP.",
        group="main",
    )
    phase_plate: bool = _row(
        False,
        "VPP",
        bool,
        "The data were taken with a phase plate: equalise the power spectra. Not with --CTF.",
        group="main",
    )
    filament_width: int = _row(
        -1,
        "filament_width",
        int,
        "Width of the filament: the images are segments of a filament, masked by a rectangle "
        "of this width along it.",
        group="main",
        unit="input px",
        minimum=1,
        special=((-1, "single particles"),),
    )
    x_range: int = _row(
        1,
        "xr",
        int,
        "Translation searched to either side in x. Larger ranges cost much more time.",
        unit="px",
        minimum=0,
        maximum=100,
    )
    y_range: int = _row(
        -1,
        "yr",
        int,
        "Translation searched to either side in y.",
        unit="px",
        minimum=0,
        maximum=100,
        special=((-1, "the same as --xr"),),
    )
    translation_step: float = _row(
        1.0,
        "ts",
        float,
        "Step of the translation search.",
        unit="px",
        minimum=0.05,
        maximum=100,
    )
    pixel_error_threshold: float = _row(
        0.7,
        "thld_err",
        float,
        "An image is stable in its class when the poses of the independent alignments differ by "
        "less than this pixel error.",
        unit="px",
        minimum=1e-3,
        automatic="0.7 for a target radius of 29, in proportion to --target_radius",
    )
    target_radius: int = _row(
        29,
        "target_radius",
        int,
        "Radius of the particle in the working images: the input is resampled by "
        "target_radius / radius.",
        unit="px",
        minimum=4,
    )
    target_box_size: int = _row(
        76,
        "target_nx",
        int,
        "Box of the working images, cropped or padded after resampling; with --xr above 0 it is "
        "target_nx + xr - 1.",
        unit="px",
        minimum=12,
    )
    inner_radius: int = _row(
        1, "ir", int, "Radius of the first ring that images are compared on.", unit="px", minimum=1
    )
    ring_step: int = _row(
        1,
        "rs",
        int,
        "Step between the radii of the rings that images are compared on.",
        unit="px",
        minimum=1,
    )
    alignment_rounds: int = _row(
        30, "maxit", int, "Rounds of each reference-free alignment.", unit="rounds", minimum=1
    )
    centring_method: int = _row(
        -1,
        "center_method",
        int,
        "How the average of the pre-alignment is centred: -1 mean shift of the images, 0 not at "
        "all, 1 phase centre of gravity, 2 peak against a Gaussian, 3 against a ring, 4 against "
        "the particle's disc, 5 against its own rotational average, 6 centre of gravity of the "
        "bright part, 7 the bright part against the disc.",
        minimum=-1,
        maximum=7,
    )
    discrete_angle: float = _row(
        90.0,
        "dst",
        float,
        "Every fourth round of an alignment inside a group tries only the multiples of this angle.",
        unit="deg",
        minimum=1,
        maximum=360,
    )
    lowest_frequency: float = _row(
        0.2,
        "FL",
        float,
        "Cut-off of the low-pass filter in the first pass of each K-means; it grows by 0.05 from "
        "pass to pass.",
        unit="1/px",
        minimum=0.01,
        maximum=0.5,
    )
    highest_frequency: float = _row(
        0.45,
        "FH",
        float,
        "Cut-off of the low-pass filter in the last pass of each K-means, and of averages.",
        unit="1/px",
        minimum=0.01,
        maximum=0.5,
    )
    falloff: float = _row(
        0.2,
        "FF",
        float,
        "Fall-off of the hyperbolic tangent low-pass filter, relative to its cut-off.",
        minimum=0.001,
        maximum=1,
    )
    maximum_rounds: int = _row(
        7,
        "init_iter",
        int,
        "Most rounds of sorting and stability test in one generation.",
        unit="rounds",
        minimum=1,
    )
    stability_interval: int = _row(
        1,
        "iter_reali",
        int,
        "The groups are tested for stability in every so many rounds.",
        unit="rounds",
        minimum=1,
    )
    stability_alignments: int = _row(
        5,
        "stab_ali",
        int,
        "Independent alignments that a stability test compares.",
        unit="alignments",
        minimum=2,
        maximum=100,
    )
    stability_frequency: float = _row(
        0.25,
        "stab_FH",
        float,
        "Highest cut-off of the averages to which a stability test aligns its images, or --FH if "
        "that is lower; for what earlier main iterations have left 0.18 at most. A lower one finds "
        "classes of fainter images, and tells less apart.",
        unit="1/px",
        minimum=0.1,
        maximum=0.5,
    )
    minimum_group_size: int = _row(
        None,
        "minimum_grp_size",
        int,
        "A class is kept when it has more stable images than this.",
        unit="images",
        minimum=1,
        special=((None, "as auto"),),
        automatic="60 % of --img_per_grp (historically 60)",
    )
    seed: int | None = _row(
        None,
        "rand_seed",
        int,
        "Seed of all random numbers: the same seed gives the same result.",
        minimum=0,
        maximum=2**31 - 1,
        special=((None, "a new one is drawn, and recorded in run.json"),),
    )
    skip_prealignment: bool = _row(
        False,
        "skip_prealignment",
        bool,
        "Leave out the pre-alignment, for images that are centred already; the shifts in "
        "2dalignment are then zero.",
    )
    restart: int = _row(
        -1,
        "restart",
        int,
        "Go on after main iteration k of the run in the output directory; what came later is "
        "removed.",
        unit="main iteration",
        minimum=0,
        special=((-1, "go on from the last saved point"), (0, "after the last finished one")),
        changes_result=False,
    )
    filament_mask_ignore: bool = _row(
        False,
        "filament_mask_ignore",
        bool,
        "Use the filament's rectangle to normalise the images but do not mask them with it.",
    )
    skip_ordering: bool = _row(
        False,
        "skip_ordering",
        bool,
        "Do not write the class averages ordered by their similarity.",
        changes_result=False,
    )
    pool_size: int = _row(
        0,
        "pool_size",
        int,
        "Sort pools of at most so many images on their own, then match, merge and test their "
        "classes together: for sets of more than some 100,000 images.",
        unit="images",
        minimum=4,
        special=((0, "all images together"),),
    )
    skip_confidence: bool = _row(
        False,
        "skip_confidence",
        bool,
        "Do not test the final classes once more, nor random groups beside them, nor measure how "
        "far each particle prefers its class.",
        changes_result=False,
    )
    noise_whitening: str = _row(
        "auto",
        "noise_whitening",
        str,
        "Whether noise that is stronger at some of the frequencies that are compared is taken "
        "half-way down to the others in the working images; averages are written as they were. "
        "Not for filaments, nor with --VPP.",
        automatic="where the noise around the particles is coloured, and noise alone",
        pattern="auto|yes|no",
        words="auto, yes or no",
    )
    assignment: str = _row(
        "total",
        "assignment",
        str,
        "How K-means makes groups of equal size: so that the similarity of all images to their "
        "references is the largest, or greedily, the most similar pair first (the historical way).",
        pattern="total|greedy",
        words="total or greedy",
    )
    new_classes_needed: int = _row(
        0,
        "delta_good",
        int,
        "A main iteration is over when a generation gave no more new classes than this.",
        unit="classes",
        minimum=0,
    )
    split_mirrors: bool = _row(
        False,
        "split_mirrors",
        bool,
        "In the files for other programs, write mirrored images as classes of their own, each with "
        "a mirrored average: programs whose 2D poses know no mirror then show the same averages.",
        changes_result=False,
    )
    threads: int = _row(
        0,
        "threads",
        int,
        "Threads that work at the same time. The result does not depend on it.",
        group="machine",
        minimum=1,
        maximum=4096,
        special=((0, "as many as this process may use cores"),),
        changes_result=False,
    )
    device: str = _row(
        "cpu",
        "device",
        str,
        "What computes alignments and images: the processor, all GPUs that the program sees "
        "(cuda), or one of them (cuda:0). A GPU needs the extra 'gpu', and finds the same but for "
        "rounding.",
        group="machine",
        changes_result=False,
        automatic="cuda where torch is installed and finds a GPU, else cpu",
        pattern=DEVICES,
        words="auto, cpu, cuda or cuda:N",
    )
    maximum_hours: float = _row(
        0.0,
        "max-hours",
        float,
        "Stop after this time, with exit code 75, for a queue that ends jobs; the same command "
        "goes on from the last saved point.",
        group="machine",
        unit="h",
        minimum=0.0,
        special=((0, "no limit"),),
        changes_result=False,
    )

    def __post_init__(self) -> None:
        for name, option in option_table().items():
            object.__setattr__(self, name, checked_value(option, getattr(self, name)))
        if self.minimum_group_size is None:
            object.__setattr__(
                self, "minimum_group_size", smallest_class_for(self.images_per_group)
            )
        _check_together(self)

    @property
    def shrink_ratio(self) -> float:
        """Working pixels in one input pixel (target_radius / radius)."""
        return self.target_radius / self.radius

    @property
    def working_box_size(self) -> int:
        """Side of the working images, px."""
        return self.target_box_size + max(self.x_range - 1, 0)

    @property
    def search_range(self) -> tuple[int, int]:
        """Translation searched in x and in y, working px."""
        return self.x_range, self.x_range if self.y_range == -1 else self.y_range

    def as_words(self) -> dict[str, Any]:
        """Return all values by Python name; a least class of 60 % of a group is left out, as None.

        Examples
        --------
        >>> words = Settings(radius=42).as_words()
        >>> Settings(**{**words, "images_per_group": 50}).minimum_group_size
        30
        """
        words = {name: getattr(self, name) for name in option_table()}
        if self.minimum_group_size == smallest_class_for(self.images_per_group):
            words["minimum_group_size"] = None
        return words

    def clustering_parameters(self) -> ClusteringParameters:
        """The part that the method needs, in its own words."""
        x_range, y_range = self.search_range
        return ClusteringParameters(
            radius=self.target_radius,
            images_per_group=self.images_per_group,
            minimum_group_size=self.minimum_group_size,
            pixel_error_threshold=self.pixel_error_threshold,
            inner_radius=self.inner_radius,
            ring_step=self.ring_step,
            x_range=float(x_range),
            y_range=float(y_range),
            translation_step=self.translation_step,
            alignment_rounds=self.alignment_rounds,
            discrete_angle=self.discrete_angle,
            lowest_frequency=self.lowest_frequency,
            highest_frequency=self.highest_frequency,
            falloff=self.falloff,
            maximum_rounds=self.maximum_rounds,
            stability_interval=self.stability_interval,
            stability_alignments=self.stability_alignments,
            stability_frequency=self.stability_frequency,
            new_classes_needed=self.new_classes_needed,
            noise_radius=float(self.radius),
            assignment=self.assignment,
            device=self.device,
        )


def option_table() -> Mapping[str, Option]:
    """Return the options by the Python name of their field, in the order of the help.

    Examples
    --------
    >>> table = option_table()
    >>> table["images_per_group"].name, table["images_per_group"].unit
    ('img_per_grp', 'images')
    """
    return {entry.name: entry.metadata["option"] for entry in fields(Settings)}


def option_default(name: str) -> Any:
    """Return the default of the field `name`, or `dataclasses.MISSING` when it must be given."""
    entries: dict[str, Field[Any]] = {entry.name: entry for entry in fields(Settings)}
    return entries[name].default


def is_default(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a run's value of the field `name` is the one it has where it is left out.

    Parameters
    ----------
    name : str
        Python name.
    options : mapping
        All values of the run by historical name.

    Examples
    --------
    >>> is_default("minimum_group_size", {"img_per_grp": 50, "minimum_grp_size": 30})
    True
    """
    default = option_default(name)
    if name == "minimum_group_size":
        default = smallest_class_for(options["img_per_grp"])
    return bool(options[option_table()[name].name] == default)


def smallest_class_for(images_per_group: int) -> int:
    """Return 60 % of a group: fewer groups of unrelated particles reach it than 30 %.

    Examples
    --------
    >>> smallest_class_for(200), smallest_class_for(2)
    (120, 1)
    """
    return max(1, round(_SMALLEST_CLASS_SHARE * images_per_group))


def check_words(words: Mapping[str, Any]) -> None:
    """Check that keyword arguments of the Python API are all settings.

    Raises
    ------
    InputError
        For a word that is none; a historical option name is answered with the Python name.
    """
    table = option_table()
    historical = {option.name: name for name, option in table.items()}
    for word in words:
        if word not in table:
            known = historical.get(word)
            advice = f"in Python it is '{known}'" if known else "docs/options.md lists them all"
            raise InputError(f"There is no setting '{word}': {advice}.")


def _check_together(settings: Settings) -> None:
    """Refuse values that are fine alone and wrong together."""
    if settings.phase_flip and settings.phase_plate:
        raise InputError("--CTF and --VPP exclude each other: give the one that fits the data.")
    if settings.noise_whitening == "yes" and settings.phase_plate:
        raise InputError(
            "--noise_whitening=yes and --VPP, which equalises all power, exclude each other: give "
            "one of them."
        )
    if settings.noise_whitening == "yes" and settings.filament_width > 0:
        raise InputError(
            "--noise_whitening=yes is for single particles: leave it out with --filament_width."
        )
    if settings.minimum_group_size > settings.images_per_group:
        raise InputError(
            f"--minimum_grp_size={settings.minimum_group_size} is larger than "
            f"--img_per_grp={settings.images_per_group}: no class could ever be kept, so lower the "
            "one or raise the other."
        )
    if 0 < settings.pool_size < 2 * settings.images_per_group:
        raise InputError(
            f"--pool_size={settings.pool_size} is less than two groups of --img_per_grp="
            f"{settings.images_per_group}: give pools of 10,000 images or more."
        )
    if settings.pool_size and settings.restart != -1:
        raise InputError(
            f"--restart={settings.restart} cannot go back in a run with --pool_size: leave it out, "
            "and the run goes on from its last saved point."
        )
    if settings.lowest_frequency > settings.highest_frequency:
        raise InputError(
            f"--FL={settings.lowest_frequency} is above --FH={settings.highest_frequency}: the "
            "first pass must not be filtered less than the last."
        )
    if settings.inner_radius > settings.target_radius:
        raise InputError(
            f"--ir={settings.inner_radius} is larger than --target_radius="
            f"{settings.target_radius}: no ring would be left to compare images on."
        )
    _check_working_box(settings)


def _check_working_box(settings: Settings) -> None:
    """The particle's disc, moved to the end of the search, has to stay inside the working box."""
    reach = settings.target_radius + max(settings.search_range)
    if reach > settings.working_box_size // 2 - 1:
        needed = 2 * (reach + 1) - max(settings.x_range - 1, 0)
        raise InputError(
            f"--target_radius={settings.target_radius} and a search of "
            f"{max(settings.search_range)} px do not fit --target_nx={settings.target_box_size}: "
            f"give --target_nx={needed} or more, or a smaller target radius."
        )
