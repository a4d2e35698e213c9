"""How much memory this process has used."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

__all__ = ["peak_memory_in_bytes", "reset_peak_memory"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_memory_in_bytes() -> int:
    """Return the largest resident memory since `reset_peak_memory`.

    Where the system cannot reset it (not Linux, or a container without /proc), it is the largest of
    the whole process; 0 where it is not known at all.
    """
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    # macOS counts bytes, all others KiB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory() -> None:
    """Begin to measure the largest resident memory anew, where the system can."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5): resets the peak resident set size
