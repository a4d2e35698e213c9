"""How much room on the disk a run needs, told and checked before it begins."""

from __future__ import annotations

import shutil

from isac2.alignment.prealignment import coarse_radius
from isac2.errors import InputError
from isac2.images.resample import resampled_box
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings

__all__ = ["check_space", "needed_bytes"]

_PIXEL_BYTES = 4
_AVERAGES_A_GROUP = 30  # over all generations, files and saved states, for each first group
_HEADER_BYTES = 6000  # of one average in an EMAN2 file
_TABLE_BYTES_A_PARTICLE = 2000
_OTHER_BYTES = 16 * 2**20  # report, log, averages of the pre-alignment


def needed_bytes(count: int, box: int, settings: Settings, directory: RunDirectory) -> int:
    """Return how much a run still needs in its folder, in bytes: an estimate, on the high side.

    Prepared images are most of it: those for the pre-alignment, which are removed after it, or the
    working images, whichever are larger. What a run that goes on has already counts as nothing.

    Parameters
    ----------
    count, box : int
        Images of the stack, and their side, px.
    settings : Settings
    directory : RunDirectory
    """
    working = settings.working_box_size
    images = 0
    if not directory.working_images.exists():
        images = count * working**2 * _PIXEL_BYTES
        if not (settings.skip_prealignment or directory.prealignment_state.exists()):
            side = resampled_box(box, coarse_radius(settings.target_radius) / settings.radius)
            images = max(images, count * side**2 * _PIXEL_BYTES)
    if not directory.is_new():
        return images
    groups = count // settings.images_per_group
    average = working**2 * _PIXEL_BYTES + _HEADER_BYTES
    averages = groups * _AVERAGES_A_GROUP * average
    return images + averages + count * _TABLE_BYTES_A_PARTICLE + _OTHER_BYTES


def check_space(count: int, box: int, settings: Settings, directory: RunDirectory) -> str:
    """Refuse a run that the disk has no room for; return in words what it needs.

    A quota may be less than what the file system calls free; the images' room is therefore also
    taken as a whole before they are written.

    Raises
    ------
    InputError
        Less is free than `needed_bytes`.
    """
    needed = needed_bytes(count, box, settings, directory)
    free = shutil.disk_usage(directory.path).free
    said = (
        f"needs up to {_size_text(needed)} in {directory.path}, where {_size_text(free)} are free"
    )
    if free < needed:
        raise InputError(f"The run {said}: make room there, or give another folder for the output.")
    return said


def _size_text(size: int) -> str:
    """Say a size in the unit that fits it.

    Examples
    --------
    >>> _size_text(25 * 2**20), _size_text(3 * 2**40)
    ('25 MiB', '3072.0 GiB')
    """
    if size < 2**30:
        return f"{size / 2**20:.0f} MiB"
    return f"{size / 2**30:.1f} GiB"
