"""The stacks of the bench, as data: how each is made, and what the programs are told about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["GIVEN_SETS", "SIMULATED_SETS", "QualitySet", "all_sets", "chosen_sets"]

_BASE = (
    "--particles 600 --box 64 --pixel-size 3.6 --views 6 --shift 3 --snr 0.1 --noise white "
    "--junk 0.1 --seed 1"
)


@dataclass(frozen=True)
class QualitySet:
    """A stack, and how it is classified.

    Attributes
    ----------
    name : str
        Also of its folder.
    shows : str
        What it differs in from the set `base`, in words.
    simulate : str
        Arguments of `isac2 simulate`; empty for a stack that is given.
    images_per_group, minimum : int
        `--img_per_grp`, `--minimum_grp_size`; RELION gets as many classes as images have groups.
    isac2, relion : str
        Further arguments of the programs, behind those that all sets have.
    relion_range : int
        How far RELION moves an image from where it was in the iteration before, pixels.
    symmetry : str
        Point groups of the molecules, for scoring.
    ctf : bool
        Whether the programs are told to correct the CTF.
    radius : int or None
        Particle radius, pixels; that of the simulation's recipe when None.
    has_truth : bool
    """

    name: str
    shows: str
    simulate: str = _BASE
    images_per_group: int = 50
    minimum: int = 20
    isac2: str = ""
    relion: str = ""
    relion_range: int = 3
    symmetry: str = "C1"
    ctf: bool = True
    radius: int | None = None
    has_truth: bool = True


def _with(name: str, shows: str, words: str = "", **changes: object) -> QualitySet:
    """Return the base set with other words behind its own: the last of an option counts."""
    base = QualitySet(name, shows, f"{_BASE} {words}".strip())
    return replace(base, **changes)  # type: ignore[arg-type]  # the table below fixes the types


SIMULATED_SETS: tuple[QualitySet, ...] = (
    _with(
        "base",
        "600 images of one molecule, 6 views, half mirrored, SNR 0.1, shifts up to 3 px, 10 % junk",
    ),
    _with("snr-0.2", "SNR 0.2", "--snr 0.2"),
    _with("snr-0.05", "SNR 0.05", "--snr 0.05"),
    _with("snr-0.03", "SNR 0.03", "--snr 0.03"),
    _with("snr-0.02", "SNR 0.02", "--snr 0.02"),
    _with("coloured", "coloured noise", "--noise coloured"),
    _with("coloured-0.05", "coloured noise, SNR 0.05", "--noise coloured --snr 0.05"),
    _with("junk-0", "no junk", "--junk 0"),
    _with("junk-20", "20 % junk", "--junk 0.2"),
    _with("junk-40", "40 % junk", "--junk 0.4"),
    _with("off-centre", "30 % junk, all off-centre picks", "--junk 0.3 --junk-kinds off-centre"),
    _with("aggregates", "30 % junk, all aggregates", "--junk 0.3 --junk-kinds aggregate"),
    _with("views-4", "4 views", "--views 4"),
    _with(
        "views-20",
        "1,000 images of 20 views, 25 a group",
        "--views 20 --particles 1000",
        images_per_group=25,
        minimum=10,
    ),
    _with(
        "views-50",
        "1,500 images of 50 views, 20 a group",
        "--views 50 --particles 1500",
        images_per_group=20,
        minimum=8,
    ),
    _with("views-200", "200 views: 3 images each", "--views 200"),
    _with("uniform", "all directions", "--views uniform"),
    _with("preferred", "mostly near three directions", "--views preferred"),
    _with("shift-0", "centred", "--shift 0"),
    _with("shift-5", "shifts up to 5 px", "--shift 5", relion_range=5),
    _with(
        "two-molecules",
        "complex and D7 ring, 3 views each",
        "--molecule complex --molecule ring --views 3",
        symmetry="C1,D7",
    ),
    _with(
        "three-molecules",
        "complex, D7 ring and octahedral shell, 2 views each",
        "--molecule complex --molecule ring --molecule shell --views 2",
        symmetry="C1,D7,O",
    ),
    _with(
        "conformations",
        "two conformations, an arm turned by 30 degrees, 3 views each",
        "--molecule complex --molecule bent --views 3",
        symmetry="C1,C1",
    ),
    _with("ring", "a D7 ring", "--molecule ring --views 4", symmetry="D7"),
    _with("shell", "an octahedral shell", "--molecule shell --views 4", symmetry="O"),
    _with("no-ctf", "no CTF", "--no-ctf", ctf=False),
    _with(
        "filament",
        "500 segments of filaments, SNR 0.2, noise and ice as junk",
        "--particles 500 --molecule filament --views helical --snr 0.2 --junk-kinds noise,ice",
        isac2="--filament_width=22",
        relion="--helical_outer_diameter 90 --bimodal_psi --sigma_psi 2",
        radius=26,
    ),
    _with(
        "hard",
        "SNR 0.05, coloured noise, preferred directions, 30 % junk, shifts up to 5 px",
        "--snr 0.05 --noise coloured --views preferred --junk 0.3 --shift 5",
        relion_range=5,
    ),
)
"""Each is the base set with something changed, so that what changes is what it measures."""

GIVEN_SETS: tuple[QualitySet, ...] = (
    QualitySet(
        "views_simulated",
        "2,000 images of RNA polymerase II from 16 views, 10 % junk",
        simulate="",
        images_per_group=100,
        minimum=40,
        radius=34,
    ),
    QualitySet(
        "mix_simulated",
        "2,000 images of RNA polymerase II and GroEL from all directions, 15 % junk",
        simulate="",
        images_per_group=50,
        minimum=20,
        symmetry="C1,D7",
        radius=30,
    ),
    QualitySet(
        "filament_simulated",
        "800 segments of filamentous phage, 5 % junk",
        simulate="",
        isac2="--filament_width=28",
        relion="--helical_outer_diameter 80 --bimodal_psi --sigma_psi 2",
        radius=40,
    ),
    QualitySet(
        "apoferritin_real",
        "2,608 particles of apoferritin, real",
        simulate="",
        images_per_group=100,
        minimum=40,
        radius=42,
        has_truth=False,
    ),
)
"""Stacks of a folder given as --data: each in a folder of its name, with particles.star."""


def all_sets() -> dict[str, QualitySet]:
    """Return every set by name."""
    return {item.name: item for item in (*SIMULATED_SETS, *GIVEN_SETS)}


def chosen_sets(names: tuple[str, ...], with_given: bool) -> list[QualitySet]:
    """Return the sets named, or all that can be had.

    Raises
    ------
    SystemExit
        When there is no set of a name.
    """
    known = all_sets()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"there is no set '{unknown[0]}': choose from {', '.join(known)}.")
    if names:
        return [known[name] for name in names]
    return [item for item in known.values() if item.simulate or with_given]
