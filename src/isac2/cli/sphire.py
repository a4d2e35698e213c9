"""The historical command lines, mapped onto the same functions as `isac2 <verb>`."""

from __future__ import annotations

from isac2.cli.main import run_command

__all__ = ["sp_isac2"]


def sp_isac2() -> int:
    """Run ``sp_isac2.py STACK OUTDIR --radius=... [options]``, which is ``isac2 run``."""
    from isac2.cli.run import command

    return run_command(command, "sp_isac2.py")
