"""The page people look at."""

from isac2.report.write import write_report

__all__ = ["write_report"]
