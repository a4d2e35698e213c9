"""What a simulated stack is made of: one frozen table of numbers, checked on construction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from isac2.errors import InputError

__all__ = ["JUNK_KINDS", "ORIENTATIONS", "PRESETS", "Recipe"]

ORIENTATIONS = ("views", "uniform", "preferred", "helical")
JUNK_KINDS = ("noise", "ice", "off-centre", "aggregate", "edge")
"""Kinds of junk in the order of their numbers in the truth, from 1."""

_NOISES = ("white", "coloured")
_PIXEL_TYPES = ("float32", "int8")


@dataclass(frozen=True)
class Recipe:
    """A stack to be simulated.

    Attributes
    ----------
    particles : int
        Number of images, the junk among them.
    box : int
        Side of the images, pixels; even.
    pixel_size_in_angstroms : float
    molecules : tuple of str
        Built-in molecules (``complex``, ``bent``, ``ring``, ``shell``, ``filament``; ``complex:7``
        is another one from seed 7, ``bent:7`` its other conformation) or density maps (``.mrc``,
        cubic); particles are drawn from all alike.
    orientations : str
        ``views``: `views` discrete directions a molecule, evenly spread over half the sphere;
        ``uniform``: all directions; ``preferred``: mostly near three directions; ``helical``:
        segments of filaments, whose axis (z of the molecule) lies near the image plane.
    views : int
        Number of discrete directions.
    mirrors : bool
        Whether half of the images of discrete views are mirrored (seen from the opposite side).
    shift_in_pixels : float
        Particles lie anywhere in a disc of this radius about the box's centre.
    snr : float
        Variance of the CTF-affected signal inside the particle's disc, over the noise's variance,
        as a mean over the set; infinity leaves the noise out.
    noise : str
        ``white``, or ``coloured``: stronger at low frequencies, same variance.
    ctf : bool
        Whether there is a CTF.
    defocus_in_micrometres : tuple of float
        Lowest and highest mean defocus; one value a micrograph, particles scatter by 0.015.
    astigmatism_in_angstroms : float
        Largest difference of defocus U and V; one value and angle a micrograph.
    voltage_in_kilovolts, spherical_aberration_in_millimetres, amplitude_contrast : float
        The microscope.
    junk_fraction : float
        Share of images that show no whole single particle.
    junk_kinds : tuple of str
        Which kinds, in equal parts.
    particles_per_micrograph, segments_per_tube : int
    seed : int
        Same recipe, same bytes.
    pixel_type : str
        ``float32``, or ``int8`` (noise of standard deviation 20) for a quarter of the size.

    Raises
    ------
    InputError
        When a number is out of its range.
    """

    particles: int = 2000
    box: int = 96
    pixel_size_in_angstroms: float = 2.4
    molecules: tuple[str, ...] = ("complex",)
    orientations: str = "views"
    views: int = 16
    mirrors: bool = True
    shift_in_pixels: float = 5.0
    snr: float = 0.1
    noise: str = "white"
    ctf: bool = True
    defocus_in_micrometres: tuple[float, float] = (1.0, 3.0)
    astigmatism_in_angstroms: float = 300.0
    voltage_in_kilovolts: float = 300.0
    spherical_aberration_in_millimetres: float = 2.7
    amplitude_contrast: float = 0.1
    junk_fraction: float = 0.1
    junk_kinds: tuple[str, ...] = JUNK_KINDS
    particles_per_micrograph: int = 50
    segments_per_tube: int = 15
    seed: int = 1
    pixel_type: str = "float32"

    def __post_init__(self) -> None:
        low, high = self.defocus_in_micrometres
        _check(self.particles >= 1, "--particles", self.particles, "at least 1")
        _check(self.box >= 16 and self.box % 2 == 0, "--box", self.box, "even and at least 16")
        size = self.pixel_size_in_angstroms
        _check(size > 0, "--pixel-size", size, "above 0")
        _check(len(self.molecules) >= 1, "--molecule", "nothing", "at least one molecule")
        _choice(self.orientations, ORIENTATIONS, "--views")
        _check(self.views >= 1, "--views", self.views, "at least 1")
        shift = self.shift_in_pixels
        _check(0 <= shift < self.box / 4, "--shift", shift, "at least 0 and below a quarter box")
        _check(self.snr > 0, "--snr", self.snr, "above 0")
        _choice(self.noise, _NOISES, "--noise")
        _check(0 < low <= high, "--defocus", f"{low} {high}", "lowest and highest, above 0")
        stretch = self.astigmatism_in_angstroms
        _check(0 <= stretch < 1e4 * low, "--astigmatism", stretch, "at least 0, below the defocus")
        _check(self.voltage_in_kilovolts > 0, "--voltage", self.voltage_in_kilovolts, "above 0")
        _check(
            0 <= self.amplitude_contrast < 1,
            "--amplitude-contrast",
            self.amplitude_contrast,
            "0 to 1",
        )
        _check(0 <= self.junk_fraction < 1, "--junk", self.junk_fraction, "at least 0 and below 1")
        for kind in self.junk_kinds:
            _choice(kind, JUNK_KINDS, "--junk-kinds")
        _check(
            self.junk_fraction == 0 or len(self.junk_kinds) > 0, "--junk-kinds", "empty", "given"
        )
        count = min(self.particles_per_micrograph, self.segments_per_tube)
        _check(count >= 1, "particles a micrograph or tube", count, "at least 1")
        _check(self.seed >= 0, "--seed", self.seed, "at least 0")
        _choice(self.pixel_type, _PIXEL_TYPES, "--pixel-type")

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, ready for JSON."""
        values = asdict(self)
        if self.snr == float("inf"):
            values["snr"] = "inf"  # JSON has no number for it
        return values

    def with_changes(self, **changes: Any) -> Recipe:
        """Return a recipe with some numbers changed, checked again."""
        return replace(self, **changes)


def _check(holds: bool, option: str, value: object, needed: str) -> None:
    if not holds:
        raise InputError(f"{option} is {value}, but must be {needed}.")


def _choice(value: str, choices: tuple[str, ...], option: str) -> None:
    if value not in choices:
        raise InputError(f"{option} knows no '{value}': choose from {', '.join(choices)}.")


PRESETS: dict[str, Recipe] = {
    "views": Recipe(),
    "tiny": Recipe(
        particles=400,
        box=64,
        pixel_size_in_angstroms=3.6,
        views=5,
        shift_in_pixels=3.0,
        snr=0.3,
        junk_kinds=("noise", "ice", "off-centre"),
    ),
    "mix": Recipe(
        pixel_size_in_angstroms=2.8,
        molecules=("complex", "ring"),
        orientations="uniform",
        junk_fraction=0.15,
    ),
    "filament": Recipe(
        particles=800,
        pixel_size_in_angstroms=2.5,
        molecules=("filament",),
        orientations="helical",
        snr=0.2,
        junk_fraction=0.05,
        junk_kinds=("noise", "ice"),
    ),
}
"""Recipes with a name; `tiny` is made in a moment, for demonstrations and tests."""
