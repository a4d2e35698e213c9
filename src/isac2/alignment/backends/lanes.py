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
    "maximum",
    "multiply",
    "store",
    "subtract",
    "zero",
]

LANES = 16
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
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


def _filled(builder: Any, value: Any) -> Any:
    """Vector with the same value in all lanes."""
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_INDEX, 0))
    order = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(first, nothing, order)


def _call(name: str, builder: Any, arguments: list[Any]) -> Any:
    """Call one of the compiler's own functions of vectors."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """Larger of each pair."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@_instruction
def load(typing: Any, array: Any, index: Any) -> Any:
    """Sixteen elements of a flat float32 array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=_FLOAT_BYTES)

    return _lanes(array, types.intp), generate


@_instruction
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen elements of a flat float32 array from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], *arguments[:2])
        pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        builder.store(arguments[2], pointer, align=_FLOAT_BYTES)
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
            order = ir.Constant(ir.VectorType(_INDEX, LANES), turned)
            value = _larger(builder, value, builder.shuffle_vector(value, value, order))
            half //= 2
        return builder.extract_element(value, ir.Constant(_INDEX, 0))

    return types.float32(_lanes), generate
