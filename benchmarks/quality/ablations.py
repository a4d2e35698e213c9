"""The ablations, as data: each option around its default, on one stack."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.quality.sets import QualitySet

__all__ = ["ABLATIONS", "ABLATION_BASE", "Ablation", "ablation_sets"]

ABLATION_BASE = QualitySet(
    "ablation",
    "600 images of 6 views, SNR 0.05, 20 % junk",
    "--particles 600 --box 64 --pixel-size 3.6 --views 6 --shift 3 --snr 0.05 --junk 0.2 --seed 11",
)
"""Hard enough that options make a difference: with the defaults not all is found."""


@dataclass(frozen=True)
class Ablation:
    """An option and the values tried.

    Attributes
    ----------
    option : str
        As it is typed.
    values : tuple of str
        The one that the stack is classified with otherwise among them.
    usual : str
        That one.
    """

    option: str
    values: tuple[str, ...]
    usual: str


ABLATIONS: tuple[Ablation, ...] = (
    Ablation("--img_per_grp", ("25", "50", "100"), "50"),
    Ablation("--minimum_grp_size", ("10", "20", "30"), "20"),
    Ablation("--thld_err", ("0.5", "0.7", "1.0"), "0.7"),
    Ablation("--stab_ali", ("3", "5", "8"), "5"),
    Ablation("--stab_FH", ("0.14", "0.18", "0.25"), "0.25"),
    Ablation("--init_iter", ("1", "3", "7"), "7"),
    Ablation("--xr", ("0", "1", "2"), "1"),
    Ablation("--FL", ("0.1", "0.2", "0.3"), "0.2"),
    Ablation("--FH", ("0.25", "0.35", "0.45"), "0.45"),
    Ablation("--target_radius", ("22", "29", "36"), "29"),
    Ablation("--CTF", ("on", "off"), "on"),
    Ablation("--skip_prealignment", ("off", "on"), "off"),
    Ablation("--maxit", ("10", "30", "50"), "30"),
    Ablation("--iter_reali", ("1", "2", "3"), "1"),
    Ablation("--ts", ("0.5", "1", "2"), "1"),
    Ablation("--FF", ("0.1", "0.2", "0.4"), "0.2"),
    Ablation("--dst", ("45", "90", "180"), "90"),
    Ablation("--delta_good", ("0", "1", "3"), "0"),
    Ablation("--assignment", ("total", "greedy"), "total"),
)


def ablation_sets(ablation: Ablation) -> list[tuple[str, QualitySet]]:
    """Return a value of the option, and the set that is classified with it, for each value."""
    return [(value, _with_option(ablation, value)) for value in ablation.values]


def _with_option(ablation: Ablation, value: str) -> QualitySet:
    """Return the base set with one option changed; unchanged it is the base set itself."""
    if value == ablation.usual:
        return ABLATION_BASE
    if ablation.option == "--img_per_grp":  # and the least size of a class with it, at 40 %
        size = int(value)
        return replace(ABLATION_BASE, images_per_group=size, minimum=round(0.4 * size))
    if ablation.option == "--minimum_grp_size":
        return replace(ABLATION_BASE, minimum=int(value))
    if ablation.option == "--CTF":
        return replace(ABLATION_BASE, ctf=value == "on")
    if value == "on":
        return replace(ABLATION_BASE, isac2=ablation.option)
    words = f"{ablation.option}={value}"
    if ablation.option == "--target_radius":  # the box keeps its share around the particle
        words += f" --target_nx={2 * round(76 * int(value) / 29 / 2)}"
    return replace(ABLATION_BASE, isac2=words)
