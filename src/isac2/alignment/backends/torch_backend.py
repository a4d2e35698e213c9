"""The torch backend: every step as products of large real matrices, on a GPU or the processor.

It searches exhaustively, and adds in an order of its own: the same to some 1e-6 of a similarity as
the CPU backend, not the same bits. Coefficients lie as (order, image, translation, [real parts of
all rings, imaginary parts]); a ring that does not carry an order has zeros there.

The correlation of an image a + bi with a reference r + qi has, at each angular order, the
coefficient x + yi with ``x = a r + b q, y = b r - a q``, summed over rings, and for the mirrored
image ``x = s (a r - b q), y = s (b r + a q)``, s = -1 for odd orders. So four rows made of a
reference, times the images, give all; a second product, with cosines and sines, the correlations
at all angles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isac2.alignment.backends.cpu import AngleGrid, Peaks
from isac2.alignment.backends.torch_sampling import RingSampler
from isac2.alignment.rings import RingGeometry, SamplingTable
from isac2.devices.torch_devices import Devices, Same, in_parts
from isac2.devices.torch_stacks import ResidentStacks

__all__ = ["AngleTable", "RadialFilter", "References", "RingBank", "TorchBackend"]

Tensor = Any
Device = Any

_FLOAT_BYTES = 4
_IMAGES_A_BLOCK, _IMAGES_A_GPU_BLOCK = 64, 512
_IMAGES_A_BATCH, _IMAGES_A_GPU_BATCH = 256, 2048


@dataclass(frozen=True)
class RingBank:
    """Ring coefficients of images at every translation: values float32 (m, b, s, 2 r)."""

    values: Tensor
    geometry: RingGeometry


@dataclass(frozen=True)
class References:
    """What images are compared with: coefficients, weighted by ring area.

    Attributes
    ----------
    values : float32 (m, j, k, 2 r)
        k references for each of j kinds of images.
    geometry : RingGeometry
    """

    values: Tensor
    geometry: RingGeometry
    _rows: dict[Device, Tensor] = field(default_factory=dict, compare=False)

    def rows(self, device: Device) -> Tensor:
        """The four rows of each reference, on a device, float32 (m, j, 4, k, 2 r).

        Direct real, mirrored real, direct imaginary and mirrored imaginary part.
        """
        if device not in self._rows:
            values = self.values.to(device)
            real, imag = values.chunk(2, dim=-1)
            sign = torch.ones(len(values), 1, 1, 1, device=device)
            sign[1::2] = -1.0
            direct, turned = values, torch.cat([-imag, real], dim=-1)
            mirrored = sign * torch.cat([real, -imag], dim=-1)
            mirrored_turned = sign * torch.cat([imag, real], dim=-1)
            self._rows[device] = torch.stack([direct, mirrored, turned, mirrored_turned], dim=2)
        return self._rows[device]


@dataclass(frozen=True)
class RadialFilter:
    """A matrix along the radius for each of the first angular orders: float32 (m, r, r)."""

    matrices: Tensor
    geometry: RingGeometry


@dataclass(frozen=True)
class AngleTable:
    """Angles that are tried, on a device.

    Attributes
    ----------
    angles : float64 (a,)
        Radians, a whole turn.
    waves : float32 (a, 2 m)
        From x and y of every order to the correlation at every angle.
    n_orders : int
    """

    angles: Tensor
    waves: Tensor
    n_orders: int

    @classmethod
    def on(cls, device: Device, grid: AngleGrid) -> AngleTable:
        """Bring a grid to a device, its quarter turn made whole."""
        a = grid.angles
        if grid.quarters:
            a = np.concatenate([a, -a[1:], np.pi - a[:-1], np.pi + a[1:-1]])
        order = np.arange(grid.n_orders)
        phase = a[:, None] * order
        twice = np.where(order == 0, 1.0, 2.0)
        waves = np.stack([twice * np.cos(phase), -twice * np.sin(phase)], axis=-1)
        flat = waves.reshape(len(a), -1).astype(np.float32)
        return cls(torch.from_numpy(a).to(device), torch.from_numpy(flat).to(device), len(order))


@lru_cache(maxsize=32)
def _sampler(device: Device, geometry: RingGeometry, table: Same) -> RingSampler:
    return RingSampler.on(device, geometry, table.thing)


@lru_cache(maxsize=64)
def _angle_table(device: Device, grid: Same) -> AngleTable:
    return AngleTable.on(device, grid.thing)


class TorchBackend:
    """`isac2.alignment.backends.Backend` on devices of torch.

    Parameters
    ----------
    devices : Devices
        That share the work.
    keeps_stacks : bool, optional
        Whether stacks that are searched again and again stay there; by default on GPUs.
    """

    def __init__(self, devices: Devices, keeps_stacks: bool | None = None) -> None:
        self._devices = devices
        self._stacks = ResidentStacks(devices, keeps_stacks)

    @property
    def images_a_block(self) -> int:
        """How many images a caller should hand over at a time."""
        return _IMAGES_A_GPU_BLOCK if self._devices.has_gpu else _IMAGES_A_BLOCK

    @property
    def images_a_batch(self) -> int:
        """Up to how many images groups that are aligned reference-free go together."""
        return _IMAGES_A_GPU_BATCH if self._devices.has_gpu else _IMAGES_A_BATCH

    def ring_bank(
        self,
        images: NDArray[np.float32],
        rows: NDArray[np.int64],
        centres: NDArray[np.float64],
        geometry: RingGeometry,
        table: SamplingTable,
        normalise: bool = True,
    ) -> RingBank:
        """Sample images on rings at every translation around its centre, and transform."""
        device = self._devices.mine()
        sampler = _sampler(device, geometry, Same(table))
        shape = geometry.n_orders, len(rows), len(table.shifts), 2 * len(geometry.radii)
        with self._devices.alone_on(device) as memory:
            values = torch.zeros(shape, device=device)
            for some in in_parts(len(rows), memory // sampler.bytes_an_image):
                pixels = self._stacks.take(images, rows[some], device)
                sampler.coefficients(pixels, centres[some], normalise, values[:, some])
        return RingBank(values, geometry)

    def references_from_bank(self, bank: RingBank) -> References:
        """Weigh coefficients (at one translation) by ring area: k references for every image."""
        weights = torch.from_numpy(np.tile(bank.geometry.weights, 2).astype(np.float32))
        values = bank.values[:, :, 0] * weights.to(bank.values.device)
        return References(values[:, None], bank.geometry)

    def own_references(
        self, references: References, numbers: NDArray[np.int64]
    ) -> tuple[References, NDArray[np.int64]]:
        """Give each image a few (b, k) of the references: what `find_peaks` takes, and owners."""
        values = references.values[:, 0]
        own = values[:, torch.from_numpy(np.ascontiguousarray(numbers)).to(values.device)]
        return References(own, references.geometry), np.arange(len(numbers))

    def find_largest(
        self, bank: RingBank, references: References, angles: AngleGrid, coarse: AngleGrid | None
    ) -> NDArray[np.float32]:
        """Best correlation of every image with every reference, float32 (b, k).

        `coarse` is not needed: all translations are tried with all angles.
        """
        device = bank.values.device
        table, rows = _angle_table(device, Same(angles)), references.rows(device)
        _, b, s, _ = bank.values.shape
        count = rows.shape[3]
        found = torch.empty((count, b), device=device)
        with self._devices.alone_on(device) as memory:
            pairs = memory // (_FLOAT_BYTES * s * (4 * table.n_orders + 2 * len(table.angles)))
            for images in in_parts(b, pairs):
                for some in in_parts(count, pairs // (images.stop - images.start)):
                    values = bank.values[: table.n_orders, images]
                    found[some, images] = _largest(values, rows[:, 0, :, some], table)
            return _on_host(found.T)

    def find_peaks(
        self,
        bank: RingBank,
        owners: NDArray[np.int64],
        references: References,
        angles: tuple[AngleGrid, AngleGrid | None],
        table: SamplingTable,
        refine: bool = True,
    ) -> Peaks:
        """Best correlation of every image with its owner's references, and its pose."""
        device, grid = bank.values.device, angles[0]
        tried, rows = _angle_table(device, Same(grid)), references.rows(device)
        kinds = torch.from_numpy(np.ascontiguousarray(owners)).to(device)
        n, (_, _, s, width), k = tried.n_orders, bank.values.shape, rows.shape[3]
        one = k * (s * (8 * n + 2 * len(tried.angles)) + 4 * n * width)
        step = grid.step if refine else 0.0
        found: list[list[NDArray[Any]]] = []
        with self._devices.alone_on(device) as memory:
            for some in in_parts(len(owners), memory // (_FLOAT_BYTES * one)):
                lanes = _lanes(bank.values[:n, some], rows[:n, kinds[some]])
                found.append([_on_host(part) for part in _peaks(lanes, tried, step)])
        value, lane, angle, heights = (np.concatenate(part) for part in zip(*found, strict=True))
        shift, mirror = lane // 2, (lane % 2).astype(np.int8)
        return Peaks(
            value.astype(np.float32), shift, _refined_moves(heights, shift, table), angle, mirror
        )

    def averages_of_others(
        self,
        bank: RingBank,
        owners: NDArray[np.int64],
        counts: NDArray[np.int64],
        own_weight: float,
        n_orders: int,
        peaks: Peaks,
        along_radius: RadialFilter,
    ) -> References:
        """For the images of each part of each group, the group's filtered average in its poses."""
        geometry, rings = along_radius.geometry, len(along_radius.geometry.radii)
        sums = self._sums_of_rotated(bank, owners, counts.size, n_orders, peaks)  # (j, k, m, 2 r)
        device, k = sums.device, sums.shape[1]
        groups = sums.double().view(*counts.shape, k, n_orders, 2, rings)
        whole = counts.sum(axis=1, keepdims=True)
        taken = np.where(counts < whole, 1.0 - own_weight, 0.0)
        weight = np.maximum(whole - taken * counts, 1e-12)
        shape = (*counts.shape, 1, 1, 1, 1)
        taken_out = torch.from_numpy(taken).to(device).view(shape)
        divisor = torch.from_numpy(weight).to(device).view(shape)
        averages = (groups.sum(dim=1, keepdim=True) - taken_out * groups) / divisor
        matrices = along_radius.matrices.to(device)
        out = torch.zeros((geometry.n_orders, counts.size, k, 2, rings), device=device)
        out[:n_orders] = torch.einsum(
            "mrq,jkmxq->mjkxr", matrices, averages.float().view(-1, k, n_orders, 2, rings)
        )
        return References(out.view(geometry.n_orders, counts.size, k, 2 * rings), geometry)

    def _sums_of_rotated(
        self, bank: RingBank, owners: NDArray[np.int64], count: int, n_orders: int, peaks: Peaks
    ) -> Tensor:
        """Sums of every owner's images in their poses, float32 (count, k, m, 2 r)."""
        device, (_, b, _, width) = bank.values.device, bank.values.shape
        k = peaks.angle.shape[1]
        # a product with ones and zeros adds in the same order each time, a scattered sum does not
        belongs = torch.zeros((count, b), device=device)
        belongs[torch.from_numpy(owners).to(device), torch.arange(b, device=device)] = 1.0
        total = torch.zeros((count, k, n_orders, width), device=device)
        with self._devices.alone_on(device) as memory:
            for some in in_parts(b, memory // (_FLOAT_BYTES * 4 * k * n_orders * width)):
                turned = _rotated(bank.values[:n_orders, some], peaks, some)  # (m, b, k, 2 r)
                total += torch.einsum("jb,mbkv->jkmv", belongs[:, some], turned)
        return total

    def make_filter(
        self, geometry: RingGeometry, matrices: list[NDArray[np.float32]]
    ) -> RadialFilter:
        """Matrices along the radius of the first angular orders (r, r), for the averages."""
        rings = len(geometry.radii)
        whole = np.zeros((len(matrices), rings, rings), np.float32)
        for order, matrix in enumerate(matrices):
            first = rings - len(matrix)
            whole[order, first:, first:] = matrix
        return RadialFilter(torch.from_numpy(whole), geometry)


def _on_host(values: Tensor) -> NDArray[Any]:
    """Return what a device has found."""
    found: NDArray[Any] = values.contiguous().cpu().numpy()
    return found


def _largest(values: Tensor, rows: Tensor, table: AngleTable) -> Tensor:
    """Largest correlation (k, b) of images (m, b, s, 2 r) with references (.., 4, k, 2 r)."""
    m, b, s, width = values.shape
    count = rows.shape[2]
    images = values.reshape(m, b * s, width)
    # real and imaginary parts are rows next to each other, order by order: what the waves take
    lanes = torch.bmm(rows[:m].reshape(m, 4 * count, width), images.mT)
    heights = table.waves @ lanes.view(2 * m, -1)
    return heights.amax(dim=0).view(2, count, b, s).amax(dim=(0, 3))


def _lanes(values: Tensor, rows: Tensor) -> Tensor:
    """Coefficients (2 m, b, k, 2 s) of images (m, b, s, 2 r) with their own (m, b, 4, k, 2 r).

    Of two neighbours on the last axis the first is the direct, the second the mirrored one.
    """
    m, b, s, width = values.shape
    count = rows.shape[3]
    lanes = torch.matmul(rows.reshape(m, b, 4 * count, width), values.mT)
    parts = lanes.view(m, b, 2, 2, count, s).permute(0, 2, 1, 4, 5, 3)
    return parts.reshape(2 * m, b, count, 2 * s)


def _peaks(lanes: Tensor, table: AngleTable, step: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Height, lane and angle (b, k) of the highest peaks, and the translations' (b, k, s)."""
    orders, b, k, count = lanes.shape
    heights = (table.waves @ lanes.view(orders, -1)).amax(dim=0).view(b, k, count)
    lane = heights.argmax(dim=-1)
    best = lanes.gather(3, lane.expand(orders, b, k)[..., None])[..., 0]
    angle = table.angles[(table.waves @ best.view(orders, -1)).argmax(dim=0)].view(b, k)
    value, angle = _refined(best.double(), angle, step)
    return value, lane, angle, heights.view(b, k, count // 2, 2).amax(dim=-1)


def _refined(best: Tensor, angle: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Height and place of the peak beside an angle, by one step of Newton's rule."""
    value, slope, curvature = _derivatives(best, angle)
    if step == 0.0:
        return value, angle
    is_peak = curvature < 0.0
    newton = -slope / torch.where(is_peak, curvature, torch.ones_like(curvature))
    moved = torch.where(is_peak, angle + newton.clamp(-step, step), angle)
    height = _derivatives(best, moved)[0]
    better = height > value
    return torch.where(better, height, value), torch.where(better, moved, angle)


def _derivatives(best: Tensor, angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, slope and curvature (b, k) of coefficients float64 (2 m, b, k) at an angle."""
    x, y = best[0::2], best[1::2]
    order = torch.arange(len(x), device=x.device, dtype=x.dtype)[:, None, None]
    twice = torch.where(order == 0, 1.0, 2.0)
    cosine, sine = torch.cos(order * angle), torch.sin(order * angle)
    wave = twice * (x * cosine - y * sine)
    slope = -(twice * order * (x * sine + y * cosine)).sum(dim=0)
    return wave.sum(dim=0), slope, -(order.square() * wave).sum(dim=0)


def _rotated(values: Tensor, peaks: Peaks, some: slice) -> Tensor:
    """Images (m, b, s, 2 r) in their k poses, float32 (m, b, k, 2 r)."""
    m, device = len(values), values.device
    shift, angle, mirror = (
        torch.from_numpy(np.ascontiguousarray(v[some])).to(device)
        for v in (peaks.shift, peaks.angle, peaks.mirror == 1)
    )
    number = torch.arange(len(shift), device=device)[:, None]
    real, imag = values[:, number, shift].chunk(2, dim=-1)  # (m, b, k, r)
    order = torch.arange(m, device=device)[:, None, None]
    phase = order * angle
    # the mirror conjugates, and changes the sign of odd orders
    sign = torch.where(mirror & (order % 2 == 1), -1.0, 1.0)
    cosine, sine = sign * torch.cos(phase), sign * torch.sin(phase)
    cosine, sine = cosine.float()[..., None], sine.float()[..., None]
    upright = torch.where(mirror, -1.0, 1.0)[..., None]
    turned = [cosine * real - sine * imag, upright * (sine * real + cosine * imag)]
    return torch.cat(turned, dim=-1)


def _refined_moves(
    heights: NDArray[np.float32], shift: NDArray[np.int64], table: SamplingTable
) -> NDArray[np.float64]:
    """Places of the peaks between the translations, px, float64 (b, k, 2).

    heights (b, k, s); the vertex of the parabola through a peak and its neighbours along each axis;
    at the rim of the grid the peak is taken where it is.
    """
    move = table.shifts[shift]

    def height(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.take_along_axis(heights, numbers[..., None], axis=-1)[..., 0].astype(np.float64)

    peak = height(shift)
    for axis in range(2):
        before, after = table.neighbours[shift, 2 * axis], table.neighbours[shift, 2 * axis + 1]
        inside = (before >= 0) & (after >= 0)
        low, high = height(np.maximum(before, 0)), height(np.maximum(after, 0))
        bend = low - 2.0 * peak + high
        is_peak = inside & (bend < 0.0)
        vertex = np.clip(0.5 * (low - high) / np.where(is_peak, bend, -1.0), -0.5, 0.5)
        step = np.abs(table.shifts[after, axis] - table.shifts[shift, axis])
        move[..., axis] += np.where(is_peak, step * vertex, 0.0)
    return move
