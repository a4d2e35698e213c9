"""What a stack is, in numbers: for people who look at a file before they use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.stacks.metadata import Metadata
from isac2.stacks.stack import Stack

__all__ = ["PixelSummary", "StackSummary", "summarise_pixels", "summarise_stack"]

_BINS = 20


@dataclass(frozen=True)
class StackSummary:
    """A stack in words and numbers, name by name, in the order to be shown."""

    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PixelSummary:
    """Pixel values of some images of a stack.

    Attributes
    ----------
    images : int
        Number of images looked at, spread evenly over the stack.
    minimum, maximum, mean, standard_deviation : float
        Of all finite pixels looked at.
    not_finite, constant : int
        Number of images with NaN or infinite pixels, and with all pixels the same.
    counts : int64 (bins,)
        Histogram of the pixels between `edges[0]` and `edges[-1]`, which leave out the outermost
        thousandth on each side.
    edges : float64 (bins + 1,)
        Limits of its bins.
    """

    images: int
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    not_finite: int
    constant: int
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]


def summarise_stack(stack: Stack) -> StackSummary:
    """Say what the headers and the table of a stack know; no pixel is read."""
    data = stack.metadata
    sizes = np.unique(data.pixel_size_in_angstroms[np.isfinite(data.pixel_size_in_angstroms)])
    lines = [
        ("file", str(stack.path)),
        ("format", stack.kind),
        ("images", f"{len(stack):,}"),
        ("box size", f"{stack.box_size} x {stack.box_size} px"),
        (
            "pixel size",
            ", ".join(f"{size:g}" for size in sizes) + " A" if len(sizes) else "unknown",
        ),
        ("files of pixels", f"{len(stack.files):,}"),
        *_optics_lines(data),
        *_particle_lines(data),
        ("2D poses", _pose_words(data)),
        *_class_lines(data),
    ]
    if data.foreign.particles:
        lines.append(("columns", ", ".join(data.foreign.particles)))
    return StackSummary(tuple(lines))


def _range(values: NDArray[np.float64], unit: str) -> str:
    """Say between which numbers the known values are."""
    known = values[np.isfinite(values)]
    if not known.size:
        return "unknown"
    low, high = f"{known.min():g}", f"{known.max():g}"
    words = f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
    lost = len(values) - known.size
    return words.strip() + (f" (unknown for {lost:,} images)" if lost else "")


def _optics_lines(data: Metadata) -> list[tuple[str, str]]:
    """Return what is known about the microscope and the CTF."""
    if not np.isfinite(data.defocus_u_in_angstroms).any():
        lacking = "not known"
    else:
        lost = ", ".join(name.replace("_in_", " in ") for name in data.missing_ctf_columns())
        lacking = f"incomplete, without {lost}".replace("_", " ") if lost else "known"
    lines = [("CTF", lacking + (", phases flipped already" if data.phase_flipped.any() else ""))]
    defocus = (data.defocus_u_in_angstroms + data.defocus_v_in_angstroms) / 2.0
    astigmatism = np.abs(data.defocus_u_in_angstroms - data.defocus_v_in_angstroms)
    for words, values, unit in (
        ("voltage", data.voltage_in_kilovolts, "kV"),
        ("spherical aberration", data.spherical_aberration_in_millimetres, "mm"),
        ("amplitude contrast", data.amplitude_contrast, ""),
        ("defocus", defocus.round(1), "A"),
        ("astigmatism", astigmatism.round(1), "A"),
        ("phase shift", data.phase_shift_in_degrees, "deg"),
    ):
        if np.isfinite(values).any():
            lines.append((words, _range(values, unit)))
    groups = np.unique(data.optics_group[data.optics_group >= 0])
    return [*lines, ("optics groups", str(len(groups)))] if len(groups) else lines


def _particle_lines(data: Metadata) -> list[tuple[str, str]]:
    """Return what is known about where the particles come from."""
    lines = []
    names = {name for name in data.micrograph.tolist() if name}
    if names:
        lines.append(("micrographs", f"{len(names):,}"))
    if np.isfinite(data.coordinate_x).any():
        x, y = _range(data.coordinate_x, ""), _range(data.coordinate_y, "")
        lines.append(("coordinates", f"x {x}, y {y} px"))
    if (data.tube_id >= 0).any():
        tubes = set(zip(data.micrograph.tolist(), data.tube_id.tolist(), strict=True))
        lines.append(("filaments", f"{len(tubes):,}"))
    if np.isfinite(data.psi_prior_in_degrees).any():
        lines.append(("in-plane prior", _range(data.psi_prior_in_degrees, "deg")))
    return lines


def _pose_words(data: Metadata) -> str:
    if data.poses is None:
        return "none"
    shift = float(np.hypot(data.poses["tx"], data.poses["ty"]).max(initial=0.0))
    mirrored = int((data.poses["mirror"] != 0).sum())
    return f"all images, {mirrored:,} mirrored, shifts up to {shift:.2f} px"


def _class_lines(data: Metadata) -> list[tuple[str, str]]:
    numbers = data.class_number[data.class_number > 0]
    if not numbers.size:
        return []
    members = np.unique(numbers, return_counts=True)[1]
    words = f"{len(members):,} with {members.min():,} to {members.max():,} members"
    return [("classes", f"{words}, {len(data) - numbers.size:,} images in none")]


def summarise_pixels(stack: Stack, images: int = 256) -> PixelSummary:
    """Read some images, spread evenly over the stack, and say what their pixels are like.

    Parameters
    ----------
    stack : Stack
        The images.
    images : int
        How many to read at most.
    """
    rows = np.unique(np.linspace(0, len(stack) - 1, min(images, len(stack))).astype(np.int64))
    pixels = stack.read(rows).reshape(len(rows), -1)
    finite = np.isfinite(pixels)
    whole = finite.all(axis=1)
    values = pixels[finite].astype(np.float64)
    if not values.size:
        values = np.zeros(1)
    low, high = np.quantile(values, [0.001, 0.999])
    counts, edges = np.histogram(values, _BINS, (low, high) if high > low else None)
    return PixelSummary(
        images=len(rows),
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        standard_deviation=float(values.std()),
        not_finite=int((~whole).sum()),
        constant=int((pixels[whole].min(axis=1) == pixels[whole].max(axis=1)).sum()),
        counts=counts.astype(np.int64),
        edges=edges,
    )
