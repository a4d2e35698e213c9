"""Compiled loops of correlations: products over rings, sums over angular orders, and their peaks.

All arrays are flat or have a flat last axis and are laid out as `packing` says. A *lane* is what
one reference makes of one translation of an image, direct or mirrored: the angular coefficients
x + iy of the correlation, whose value at an angle is ``sum over m of (1 or 2) (x cos(m a) - y
sin(m a))``. Lane 2 s is the direct one of translation s, lane 2 s + 1 the mirrored one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from isac2.lanes import (
    LANES,
    absolute,
    add,
    broadcast,
    fma,
    largest,
    load,
    maximum,
    multiply,
    store,
    subtract,
    zero,
)

__all__ = ["aligned_scratch", "find_largest", "find_peaks", "place_of_order"]

_HALF = LANES // 2
_PAIR = 2 * LANES  # real and imaginary parts of a ring and sixteen orders
_CACHE_LINE = 16  # float32
_FAR = (
    3.0  # margins below the best reference: only if better ones are full does the image come here
)
_CARE_WHEN_FAR = 2 / 3  # of a margin


@numba.njit(nogil=True, cache=True)
def aligned_scratch(size: Any) -> Any:
    """Flat float32 array of zeros that begins at a cache line."""
    raw = np.zeros(size + _CACHE_LINE, np.float32)
    start = (-raw.ctypes.data // 4) % _CACHE_LINE
    return raw[start : start + size]


@numba.njit(nogil=True, cache=True)
def _store_lanes(x: Any, place: Any, width: Any, sign: Any, p: Any, t: Any, u: Any, v: Any) -> None:
    """Write the direct and the mirrored lane of one translation, sixteen orders of them."""
    store(x, place, add(p, t))
    store(x, place + width, subtract(u, v))
    store(x, place + 2 * width, multiply(sign, subtract(p, t)))
    store(x, place + 3 * width, multiply(sign, add(u, v)))


@numba.njit(nogil=True, cache=True)
def _three_products(
    image: Any, shifted: Any, reference: Any, start: Any, rings: Any, x: Any, lanes: Any,
    width: Any, sign: Any,
) -> None:  # fmt: skip
    """Sum products over rings, of three translations with a reference.

    The image's translations begin at the three places `shifted`, the reference at `start`; the
    lanes that they make go to the three places `lanes` of x.
    """
    i, j, k = shifted
    p0 = t0 = u0 = v0 = p1 = t1 = u1 = v1 = p2 = t2 = u2 = v2 = zero()
    for ring in range(rings):
        step = ring * _PAIR
        real, imag = load(reference, start + step), load(reference, start + step + LANES)
        a, b = load(image, i + step), load(image, i + step + LANES)
        p0, t0, u0, v0 = fma(a, real, p0), fma(b, imag, t0), fma(b, real, u0), fma(a, imag, v0)
        a, b = load(image, j + step), load(image, j + step + LANES)
        p1, t1, u1, v1 = fma(a, real, p1), fma(b, imag, t1), fma(b, real, u1), fma(a, imag, v1)
        a, b = load(image, k + step), load(image, k + step + LANES)
        p2, t2, u2, v2 = fma(a, real, p2), fma(b, imag, t2), fma(b, real, u2), fma(a, imag, v2)
    _store_lanes(x, lanes[0], width, sign, p0, t0, u0, v0)
    _store_lanes(x, lanes[1], width, sign, p1, t1, u1, v1)
    _store_lanes(x, lanes[2], width, sign, p2, t2, u2, v2)


@numba.njit(nogil=True, cache=True)
def _multiply(
    image: Any, reference: Any, packing: Any, n_shifts: Any, blocks: Any, count: Any, room: Any,
    place: Any,
) -> None:  # fmt: skip
    """Fill the lanes that an image, at some of its translations, makes with one reference.

    image, reference: flat floats of several, and where this one begins; packing: (starts, rings);
    blocks: the first block of orders to do and the one after the last; the translations are the
    first `count` of the room's shifts; the lanes begin at `place` of its x.
    """
    bank, at = image
    references, start = reference
    starts, rings = packing
    width, sign, shifts = room.width, load(room.signs, 0), room.shifts
    for block in range(blocks[0], blocks[1]):
        one = rings[block] * _PAIR
        first = starts[block] * _PAIR
        base, to = at + first * n_shifts, place + block * LANES
        for n in range(0, count, 3):
            # a last group that is not full does the last translation again
            i, j = shifts[n], shifts[min(n + 1, count - 1)]
            k = shifts[min(n + 2, count - 1)]
            _three_products(
                bank, (base + i * one, base + j * one, base + k * one),
                references, start + first, rings[block], room.x,
                (to + i * 4 * width, to + j * 4 * width, to + k * 4 * width), width, sign,
            )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def place_of_order(order: Any) -> Any:
    """Where an angular order lies in a lane: of sixteen the even ones come first."""
    within = order & (LANES - 1)
    return order - within + (within >> 1) + _HALF * (within & 1)


@numba.njit(nogil=True, cache=True)
def _largest_of_quarters(even: Any, odd: Any, sine_even: Any, sine_odd: Any) -> Any:
    """Largest value at the angles a, -a, pi - a and pi + a."""
    first = add(add(even, odd), absolute(add(sine_even, sine_odd)))
    second = add(subtract(even, odd), absolute(subtract(sine_even, sine_odd)))
    return maximum(first, second)


@numba.njit(nogil=True, cache=True)
def _sum_four(
    x: Any, lanes: Any, width: Any, table: Any, start: Any, orders: Any, best: Any, place: Any
) -> None:
    """Sum four lanes over all orders at sixteen angles; keep what is largest.

    lanes: where the four begin in x; table from `start`: cosines and sines of sixteen angles, order
    by order; orders an even number; best from `place`: sixteen values a lane.
    """
    i, j, k, n = lanes
    e0 = f0 = c0 = d0 = e1 = f1 = c1 = d1 = e2 = f2 = c2 = d2 = e3 = f3 = c3 = d3 = zero()
    for m in range(0, orders, 2):
        at, o = start + m * _PAIR, place_of_order(m)
        cosine, sine = load(table, at), load(table, at + LANES)
        e0, c0 = fma(broadcast(x, i + o), cosine, e0), fma(broadcast(x, i + o + width), sine, c0)
        e1, c1 = fma(broadcast(x, j + o), cosine, e1), fma(broadcast(x, j + o + width), sine, c1)
        e2, c2 = fma(broadcast(x, k + o), cosine, e2), fma(broadcast(x, k + o + width), sine, c2)
        e3, c3 = fma(broadcast(x, n + o), cosine, e3), fma(broadcast(x, n + o + width), sine, c3)
        cosine, sine = load(table, at + _PAIR), load(table, at + _PAIR + LANES)
        o += _HALF
        f0, d0 = fma(broadcast(x, i + o), cosine, f0), fma(broadcast(x, i + o + width), sine, d0)
        f1, d1 = fma(broadcast(x, j + o), cosine, f1), fma(broadcast(x, j + o + width), sine, d1)
        f2, d2 = fma(broadcast(x, k + o), cosine, f2), fma(broadcast(x, k + o + width), sine, d2)
        f3, d3 = fma(broadcast(x, n + o), cosine, f3), fma(broadcast(x, n + o + width), sine, d3)
    store(best, place, maximum(load(best, place), _largest_of_quarters(e0, f0, c0, d0)))
    place += LANES
    store(best, place, maximum(load(best, place), _largest_of_quarters(e1, f1, c1, d1)))
    place += LANES
    store(best, place, maximum(load(best, place), _largest_of_quarters(e2, f2, c2, d2)))
    place += LANES
    store(best, place, maximum(load(best, place), _largest_of_quarters(e3, f3, c3, d3)))


@numba.njit(nogil=True, cache=True)
def _sum_one(x: Any, i: Any, width: Any, table: Any, start: Any, orders: Any, parts: Any) -> None:
    """Sums of one lane over even and odd orders, cosines and sines, at sixteen angles."""
    e = f = c = d = zero()
    for m in range(0, orders, 2):
        at, o = start + m * _PAIR, i + place_of_order(m)
        e = fma(broadcast(x, o), load(table, at), e)
        c = fma(broadcast(x, o + width), load(table, at + LANES), c)
        o += _HALF
        f = fma(broadcast(x, o), load(table, at + _PAIR), f)
        d = fma(broadcast(x, o + width), load(table, at + _PAIR + LANES), d)
    store(parts, 0, e)
    store(parts, LANES, f)
    store(parts, 2 * LANES, c)
    store(parts, 3 * LANES, d)


@numba.njit(nogil=True, cache=True)
def _largest_over_angles(
    x: Any, lanes: Any, count: Any, width: Any, grid: Any, best: Any, values: Any
) -> None:
    """Largest value over a grid's angles of the first `count` of `lanes`, into values."""
    table, orders, blocks, quarters = grid
    best[:] = np.float32(-np.inf)
    one = 2 * width
    for block in range(blocks):
        start = block * orders * _PAIR
        if quarters:
            for n in range(0, count, 4):
                i, j = lanes[n], lanes[min(n + 1, count - 1)]
                k, m = lanes[min(n + 2, count - 1)], lanes[min(n + 3, count - 1)]
                _sum_four(
                    x, (i * one, j * one, k * one, m * one), width, table, start, orders, best,
                    n * LANES,
                )  # fmt: skip
        else:
            parts = best[best.size - 4 * LANES :]
            for n in range(count):
                _sum_one(x, lanes[n] * one, width, table, start, orders, parts)
                value = add(load(parts, 0), load(parts, LANES))
                value = subtract(value, add(load(parts, 2 * LANES), load(parts, 3 * LANES)))
                store(best, n * LANES, maximum(load(best, n * LANES), value))
    for n in range(count):
        values[n] = largest(load(best, n * LANES))


@numba.njit(nogil=True, cache=True)
def _best_angle(x: Any, lane: Any, width: Any, grid: Any, angles: Any, parts: Any) -> Any:
    """Angle of a grid at which one lane is largest; the first of equals."""
    table, orders, blocks, quarters = grid
    best, found = -np.inf, 0.0
    for block in range(blocks):
        _sum_one(x, lane * 2 * width, width, table, block * orders * _PAIR, orders, parts)
        for n in range(LANES):
            angle = angles[block * LANES + n]
            e, f = parts[n], parts[LANES + n]
            c, d = parts[2 * LANES + n], parts[3 * LANES + n]
            if e + f - c - d > best:
                best, found = e + f - c - d, angle
            if quarters:
                if e + f + c + d > best:
                    best, found = e + f + c + d, -angle
                if e - f + c - d > best:
                    best, found = e - f + c - d, np.pi - angle
                if e - f - c + d > best:
                    best, found = e - f - c + d, np.pi + angle
    return found


@numba.njit(nogil=True, cache=True)
def _derivatives(x: Any, lane: Any, width: Any, orders: Any, angle: Any) -> Any:
    """Value, slope and curvature of one lane at an angle."""
    start = lane * 2 * width
    value, slope, curvature = np.float64(x[start]), 0.0, 0.0
    turn_x, turn_y = np.cos(angle), np.sin(angle)
    cosine, sine = 1.0, 0.0
    for m in range(1, orders):
        cosine, sine = cosine * turn_x - sine * turn_y, sine * turn_x + cosine * turn_y
        at = start + place_of_order(m)
        real, imag = x[at], x[at + width]
        wave = 2.0 * (real * cosine - imag * sine)
        value += wave
        slope -= 2.0 * m * (real * sine + imag * cosine)
        curvature -= m * m * wave
    return value, slope, curvature


@numba.njit(nogil=True, cache=True)
def _refined_angle(x: Any, lane: Any, width: Any, orders: Any, angle: Any, step: Any) -> Any:
    """Height and place of the peak beside an angle, by one step of Newton's rule."""
    best, slope, curvature = _derivatives(x, lane, width, orders, angle)
    if step > 0.0 and curvature < 0.0:
        moved = angle + min(max(-slope / curvature, -step), step)
        height = _derivatives(x, lane, width, orders, moved)[0]
        if height > best:
            return height, moved
    return best, angle


@numba.njit(nogil=True, cache=True)
def _largest_of(values: Any, first: Any, count: Any) -> Any:
    """Largest of some values."""
    found = values[first]
    for n in range(first + 1, first + count):
        found = max(found, values[n])
    return found


@numba.njit(nogil=True, cache=True)
def _near_the_best(
    rough: Any, lane: Any, count: Any, margin: Any, best: Any, lanes: Any, found: Any, shifts: Any
) -> Any:
    """Add to `lanes`, from `found` on, those of one reference within a margin of its largest.

    rough: values of all lanes, the reference's `count` from `lane` on; best: what the image reaches
    with any reference: where this one stays far below, less care is enough; shifts: filled with the
    translations of the lanes added. Returns the new number of lanes, and that of translations.
    """
    highest = _largest_of(rough, lane, count)
    if highest < best - _FAR * margin:
        margin *= _CARE_WHEN_FAR
    moved = 0
    for shift in range(count // 2):
        before = found
        for n in range(lane + 2 * shift, lane + 2 * shift + 2):
            lanes[found] = n
            found += rough[n] >= highest - margin
        shifts[moved] = shift
        moved += found > before
    return found, moved


class _Room(NamedTuple):
    """Scratch arrays of `_correlate`.

    x: all lanes, `width` floats for real and for imaginary parts each; signs: what the mirror does
    to sixteen orders, +1 where they are even, -1 where they are odd; every: 0, 1, 2, ...; shifts:
    some translations; lanes: those that are tried to the end; sums: sixteen angles of
    each lane; rough, values: the largest of every lane, and of those tried to the end.
    """

    x: Any
    width: Any
    signs: Any
    every: Any
    shifts: Any
    lanes: Any
    sums: Any
    rough: Any
    values: Any


@numba.njit(nogil=True, cache=True)
def _make_room(number: Any, n_shifts: Any, fine: Any) -> Any:
    """Room for a number of references, translations and the orders of a fine grid."""
    count, width = number * 2 * n_shifts, -(-fine[1] // LANES) * LANES
    signs = np.where(np.arange(LANES) < _HALF, 1.0, -1.0).astype(np.float32)
    return _Room(
        aligned_scratch(count * 2 * width), width, signs, np.arange(count),
        np.empty(n_shifts + 1, np.int64), np.empty(count + 1, np.int64),
        aligned_scratch((count + 8) * LANES), aligned_scratch(count), aligned_scratch(count),
    )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _correlate(
    image: Any, references: Any, sizes: Any, packing: Any, grids: Any, margins: Any, reached: Any,
    room: Any,
) -> Any:  # fmt: skip
    """Fill the lanes of an image and some references, and find how large each becomes.

    All lanes are tried with the coarse grid; to those within a margin of the best one of their
    reference the orders beyond it are added, and they are tried with the fine grid. A coarse grid
    without angles leaves all lanes.

    image, references: flat floats of several, and where this one, and the first of these, begins;
    sizes: floats of one reference, how many references, translations; margins: one a reference;
    reached: float32 (1,), what the image reached with references before, brought up to date, or
    (0,) where references do not compete; room: `_Room`. Returns the number of lanes that were tried
    to the end; they are listed, with their values, in the room.
    """
    fine, coarse = grids
    x, every, shifts, lanes, rough = room.x, room.every, room.shifts, room.lanes, room.rough
    size, number, n_shifts = sizes
    flat, first = references
    count, one = 2 * n_shifts, 2 * n_shifts * 2 * room.width
    low, high = -(-coarse[1] // LANES), -(-fine[1] // LANES)
    begin = low if coarse[2] else high
    shifts[:n_shifts] = every[:n_shifts]
    for k in range(number):
        reference = flat, first + k * size
        _multiply(image, reference, packing, n_shifts, (0, begin), n_shifts, room, k * one)
    if coarse[2] == 0:
        lanes[: number * count] = every
        _largest_over_angles(x, every, number * count, room.width, fine, room.sums, rough)
        room.values[:] = rough
        return number * count
    _largest_over_angles(x, every, number * count, room.width, coarse, room.sums, rough)
    highest = np.float32(-np.inf)
    if reached.size:
        reached[0] = highest = max(reached[0], _largest_of(rough, 0, number * count))
    found = 0
    for k in range(number):
        found, moved = _near_the_best(
            rough, k * count, count, margins[k], highest, lanes, found, shifts
        )
        reference = flat, first + k * size
        _multiply(image, reference, packing, n_shifts, (low, high), moved, room, k * one)
    _largest_over_angles(x, lanes, found, room.width, fine, room.sums, room.values)
    return found


@numba.njit(nogil=True, cache=True)
def find_largest(
    bank: Any, references: Any, packing: Any, n_shifts: Any, grids: Any, margins: Any,
    reached: Any, out: Any,
) -> None:  # fmt: skip
    """Largest correlation of each image with each reference, over translation, angle and mirror.

    bank (b, v * n_shifts), references (k, v), packing (starts, rings); grids: (fine, coarse), each
    (table, orders, blocks, quarters); margins float32 (k,); reached float32 (b,): what each image
    reached with other references, brought up to date; out (b, k).
    """
    number, size = references.shape
    room = _make_room(number, n_shifts, grids[0])
    flat, first = bank.reshape(-1), (references.reshape(-1), 0)
    out[:] = np.float32(-np.inf)
    for image in range(bank.shape[0]):
        found = _correlate(
            (flat, image * bank.shape[1]), first, (size, number, n_shifts), packing, grids, margins,
            reached[image : image + 1], room,
        )  # fmt: skip
        for n in range(found):
            k = room.lanes[n] // (2 * n_shifts)
            out[image, k] = max(out[image, k], room.values[n])


@numba.njit(nogil=True, cache=True)
def _vertex(low: Any, peak: Any, high: Any) -> Any:
    """Where the parabola through three heights is highest, in steps from the middle one."""
    bend = low - 2.0 * peak + high
    if bend >= 0.0:
        return 0.0
    return min(max(0.5 * (low - high) / bend, -0.5), 0.5)


@numba.njit(nogil=True, cache=True)
def _refined_move(
    rough: Any, start: Any, shift: Any, shifts: Any, neighbours: Any, move: Any
) -> None:
    """Fill move (2,) with the place of the peak between the translations, px.

    rough: values of all lanes, those of this reference from `start` on; at the rim of the grid the
    peak is taken where it is.
    """
    rough = rough[start:]
    peak = max(rough[2 * shift], rough[2 * shift + 1])
    for axis in range(2):
        move[axis] = shifts[shift, axis]
        before, after = neighbours[shift, 2 * axis], neighbours[shift, 2 * axis + 1]
        if before >= 0 and after >= 0:
            low = max(rough[2 * before], rough[2 * before + 1])
            high = max(rough[2 * after], rough[2 * after + 1])
            step = abs(shifts[after, axis] - shifts[shift, axis])
            move[axis] += step * _vertex(float(low), float(peak), float(high))


@numba.njit(nogil=True, cache=True)
def find_peaks(
    bank: Any, owners: Any, references: Any, packing: Any, translations: Any, grids: Any,
    margins: Any, refinement: Any, found: Any,
) -> None:  # fmt: skip
    """Best correlation of each image with each of its owner's references, and its pose.

    bank (b, v * n_shifts), owners int64 (b,), references (j, k, v); translations: shifts
    float64 (s, 2), neighbours int64 (s, 4); grids as in `find_largest`; margins float32 (j, k);
    refinement: angles float64 of the fine grid, how far a peak may lie from them, 0 for none;
    found: value float32, shift int64, move float64 (.., 2), angle float64, mirror int8, (b, k).
    """
    shifts, neighbours = translations
    angles, step = refinement
    fine = grids[0]
    value, shift, move, angle, mirror = found
    n_shifts, (_, number, size) = shifts.shape[0], references.shape
    room = _make_room(number, n_shifts, fine)
    x, width, lanes, values = room.x, room.width, room.lanes, room.values
    winner, parts = np.empty(number, np.int64), aligned_scratch(4 * LANES)
    flat, flat_references = bank.reshape(-1), references.reshape(-1)
    for image in range(bank.shape[0]):
        owner = owners[image]
        tried = _correlate(
            (flat, image * bank.shape[1]), (flat_references, owner * number * size),
            (size, number, n_shifts), packing, grids, margins[owner], value[:0, 0], room,
        )  # fmt: skip
        for k in range(number):  # where nothing is larger than anything: values that are no numbers
            value[image, k], winner[k] = np.float32(-np.inf), k * 2 * n_shifts
        for n in range(tried):
            k = lanes[n] // (2 * n_shifts)
            if values[n] > value[image, k]:
                value[image, k], winner[k] = values[n], lanes[n]
        for k in range(number):
            start = k * 2 * n_shifts
            lane = winner[k] - start
            at = _best_angle(x, winner[k], width, fine, angles, parts)
            height, at = _refined_angle(x, winner[k], width, fine[1], at, step)
            value[image, k], angle[image, k] = height, at
            shift[image, k], mirror[image, k] = lane // 2, lane % 2
            _refined_move(room.rough, start, lane // 2, shifts, neighbours, move[image, k])
