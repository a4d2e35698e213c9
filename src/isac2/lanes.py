"""Sixteen float32 side by side, as a type that compiled loops can hold in a register.

The compiler makes vectors of plain loops only where it can prove that nothing overlaps, and then of
half the machine's width. The two sums in which the time of the method goes (`correlation`) are
written with these instead, and run at three quarters of the machine's peak. Where a machine's
registers are narrower, the compiler splits each into several.

The functions can only be called from compiled code. `load`, `store` and `broadcast` check no
bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

__all__ = [
    "LANES",
    "absolute",
    "add",
    "broadcast",
    "fma",
    "largest",
    "load",
    "load_fours",
    "maximum",
    "multiply",
    "products",
    "repeat_fours",
    "store",
    "store_sums_of_fours",
    "subtract",
    "transpose",
    "zero",
]

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FOUR = ir.VectorType(ir.FloatType(), 4)
_INDEX = ir.IntType(32)
_FLOAT_BYTES = 4


def _instruction(function: Callable[..., Any]) -> Any:
    """Make what compiled code can call, of any arguments, of a function that writes it down."""
    return intrinsic(function)


class _LanesType(types.Type):
    """What the compiler's type inference calls sixteen lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    """Sixteen lanes are one vector value."""

    def __init__(self, manager: Any, of_type: Any) -> None:
        super().__init__(manager, of_type, _VECTOR)


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of a contiguous float32 array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.gep(data, [index])


def _shuffled(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    """Vector of some lanes of two, which are counted on from one to the other."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(order)), order))


def _joined(builder: Any, a: Any, b: Any) -> Any:
    """One vector behind the other."""
    return _shuffled(builder, a, b, list(range(2 * a.type.count)))


def _filled(builder: Any, value: Any) -> Any:
    """Vector with the same value in all lanes."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_INDEX, 0))
    return _shuffled(builder, first, nothing, [0] * LANES)


def _call(name: str, builder: Any, arguments: list[Any]) -> Any:
    """Call one of the compiler's own functions of vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """Larger of each pair."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _number(value: int) -> Any:
    """A number to index arrays with."""
    return cgutils.intp_t(value)


def _load(builder: Any, pointer: Any) -> Any:
    """Vector that begins at an element."""
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=_FLOAT_BYTES)


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    """Write a vector from an element on."""
    builder.store(vector, builder.bitcast(pointer, _VECTOR.as_pointer()), align=_FLOAT_BYTES)


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Sixteen vectors, of which number n holds what lane n of each one held."""
    turned = list(vectors)
    half = LANES // 2
    while half:
        for n in range(LANES):
            if n & half == 0:
                a, b = turned[n], turned[n + half]
                low = [k if k & half == 0 else LANES + k - half for k in range(LANES)]
                high = [k + half if k & half == 0 else LANES + k for k in range(LANES)]
                for place, order in ((n, low), (n + half, high)):
                    turned[place] = _shuffled(builder, a, b, order)
        half //= 2
    return turned


def _store_apart(builder: Any, vectors: list[Any], first: Any, step: Any) -> None:
    """Write vectors `step` elements apart."""
    for number, vector in enumerate(vectors):
        place = builder.gep(first, [builder.mul(step, _number(number))])
        _store(builder, vector, place)


def _eight_products(builder: Any, vectors: Any, numbers: Any, count: Any) -> list[Any]:
    """Sums over `count` vectors of each times its own first, second, ... eighth number."""
    half = LANES // 2
    nothing = ir.Constant(_VECTOR, [0.0] * LANES)
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(half)]
    for total in sums:
        builder.store(nothing, total)
    with cgutils.for_range(builder, count) as loop:
        vector = _load(builder, builder.gep(vectors, [builder.mul(loop.index, _number(LANES))]))
        first = builder.gep(numbers, [builder.mul(loop.index, _number(half))])
        for n, total in enumerate(sums):
            number = _filled(builder, builder.load(builder.gep(first, [_number(n)])))
            added = _call(f"llvm.fma.v{LANES}f32", builder, [number, vector, builder.load(total)])
            builder.store(added, total)
    return [builder.load(total) for total in sums]


@_instruction
def load(typing: Any, array: Any, index: Any) -> Any:
    """Sixteen elements of a flat float32 array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _element(context, builder, signature.args[0], *arguments))

    return _lanes(array, types.intp), generate


@_instruction
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen elements of a flat float32 array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments[:2])
        _store(builder, arguments[2], pointer)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate


@_instruction
def broadcast(typing: Any, array: Any, index: Any) -> Any:
    """One element of a flat float32 array in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments)
        return _filled(builder, builder.load(pointer))

    return _lanes(array, types.intp), generate


@_instruction
def zero(typing: Any) -> Any:
    """Zero in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return _lanes(), generate


@_instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(f"llvm.fma.v{LANES}f32", builder, list(arguments))

    return _lanes(_lanes, _lanes, _lanes), generate


@_instruction
def add(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return _lanes(_lanes, _lanes), generate


@_instruction
def subtract(typing: Any, a: Any, b: Any) -> Any:
    """a - b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments)

    return _lanes(_lanes, _lanes), generate


@_instruction
def multiply(typing: Any, a: Any, b: Any) -> Any:
    """a * b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return _lanes(_lanes, _lanes), generate


@_instruction
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """Larger of a and b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _larger(builder, *arguments)

    return _lanes(_lanes, _lanes), generate


@_instruction
def absolute(typing: Any, a: Any) -> Any:
    """Absolute value of a."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(f"llvm.fabs.v{LANES}f32", builder, list(arguments))

    return _lanes(_lanes), generate


@_instruction
def largest(typing: Any, a: Any) -> Any:
    """Largest of the sixteen, one float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, half = arguments[0], LANES // 2
        while half:
            turned = [(lane + half) % LANES for lane in range(LANES)]
            value = _larger(builder, value, _shuffled(builder, value, value, turned))
            half //= 2
        return builder.extract_element(value, ir.Constant(_INDEX, 0))

    return types.float32(_lanes), generate


@_instruction
def transpose(
    typing: Any, source: Any, start: Any, stride: Any, target: Any, place: Any, step: Any
) -> Any:
    """Write sixteen vectors, `stride` apart from `start`, lane by lane, `step` apart."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read = _element(context, builder, signature.args[0], *arguments[:2])
        written = _element(context, builder, signature.args[3], *arguments[3:5])
        rows = [
            _load(builder, builder.gep(read, [builder.mul(arguments[2], _number(n))]))
            for n in range(LANES)
        ]
        _store_apart(builder, _transposed(builder, rows), written, arguments[5])
        return context.get_dummy_value()

    index = types.intp
    return types.void(source, index, index, target, index, index), generate


@_instruction
def products(
    typing: Any, samples: Any, even: Any, rows: Any, odd: Any, odd_rows: Any, matrix: Any,
    entry: Any, target: Any, place: Any, step: Any,
) -> Any:  # fmt: skip
    """Multiply samples of sixteen images with two matrices of eight columns, and turn the result.

    samples: from `even` on, `rows` vectors of the images, and from `odd` on `odd_rows`; matrix:
    from `entry` on, for each of these vectors its eight numbers. What image n gets, eight products
    of the first kind and eight of the second, goes to target from place + n step on.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = _element(context, builder, signature.args[5], *arguments[5:7])
        sums: list[Any] = []
        for first, count in (arguments[1:3], arguments[3:5]):
            vectors = _element(context, builder, signature.args[0], arguments[0], first)
            sums += _eight_products(builder, vectors, numbers, count)
            numbers = builder.gep(numbers, [builder.mul(count, _number(LANES // 2))])
        written = _element(context, builder, signature.args[7], *arguments[7:9])
        _store_apart(builder, _transposed(builder, sums), written, arguments[9])
        return context.get_dummy_value()

    index = types.intp
    return types.void(
        samples, index, index, index, index, matrix, index, target, index, index
    ), generate


@_instruction
def load_fours(typing: Any, array: Any, first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """Four times four elements of a flat float32 array, from four places on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        fours = []
        for place in arguments[1:]:
            pointer = _element(context, builder, signature.args[0], arguments[0], place)
            pointer = builder.bitcast(pointer, _FOUR.as_pointer())
            fours.append(builder.load(pointer, align=_FLOAT_BYTES))
        halves = [_joined(builder, *fours[:2]), _joined(builder, *fours[2:])]
        return _joined(builder, *halves)

    index = types.intp
    return _lanes(array, index, index, index, index), generate


@_instruction
def repeat_fours(typing: Any, array: Any, index: Any) -> Any:
    """Four elements of a flat float32 array from `index` on, each in four lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments)
        four = builder.load(builder.bitcast(pointer, _FOUR.as_pointer()), align=_FLOAT_BYTES)
        return _shuffled(builder, four, four, [lane // 4 for lane in range(LANES)])

    return _lanes(array, types.intp), generate


@_instruction
def store_sums_of_fours(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the sums of lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15 from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = arguments[2]
        parts = [_shuffled(builder, whole, whole, list(range(lane, LANES, 4))) for lane in range(4)]
        low, high = builder.fadd(parts[0], parts[1]), builder.fadd(parts[2], parts[3])
        pointer = _element(context, builder, signature.args[0], *arguments[:2])
        pointer = builder.bitcast(pointer, _FOUR.as_pointer())
        builder.store(builder.fadd(low, high), pointer, align=_FLOAT_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), generate
