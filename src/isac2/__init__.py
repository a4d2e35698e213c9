"""Validated 2D class averages by Iterative Stable Alignment and Clustering (ISAC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isac2.run.results import RunResult, classify, read_run

__version__ = "0.1.0"
__all__ = ["RunResult", "__version__", "classify", "read_run"]


def __getattr__(name: str) -> Any:
    """Load what notebooks use when it is first asked for, so that the command line starts fast."""
    if name in ("RunResult", "classify", "read_run"):
        from isac2.run.compiling import make_room_for_kernels

        make_room_for_kernels()
        from isac2.run import results

        return getattr(results, name)
    raise AttributeError(f"module 'isac2' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the names for completion."""
    return sorted([*globals(), *__all__])
