"""What the method needs to know, and nothing about files or command lines."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClusteringParameters"]


@dataclass(frozen=True)
class ClusteringParameters:
    """The numbers of the method; lengths in pixels of the working images, frequencies in 1/pixel.

    The historical option that sets each field is given in brackets.
    """

    radius: int = 29  # [target_radius] radius of the particle's disc
    images_per_group: int = 200  # [img_per_grp]
    minimum_group_size: int = 120  # [minimum_grp_size]
    pixel_error_threshold: float = 0.7  # [thld_err]
    inner_radius: int = 1  # [ir] first ring
    ring_step: int = 1  # [rs]
    x_range: float = 1.0  # [xr] translation search
    y_range: float = 1.0  # [yr]
    translation_step: float = 1.0  # [ts]
    alignment_rounds: int = 30  # [maxit] rounds of a reference-free alignment
    discrete_angle: float = 90.0  # [dst] degrees
    lowest_frequency: float = 0.2  # [FL]
    highest_frequency: float = 0.45  # [FH]
    falloff: float = 0.2  # [FF]
    maximum_rounds: int = 7  # [init_iter] SAC rounds
    stability_interval: int = 1  # [iter_reali]
    stability_alignments: int = 5  # [stab_ali]
    stability_frequency: float = 0.25  # [stab_FH] beyond it a group's average is its own noise
    new_classes_needed: int = 0  # [delta_good] a main iteration ends with no more
    noise_radius: float | None = None  # particle radius in input pixels: how many are independent
    assignment: str = "total"  # [assignment] rule of the groups of equal size: or "greedy"
    device: str = "cpu"  # [device] what computes alignments; the method does not depend on it
