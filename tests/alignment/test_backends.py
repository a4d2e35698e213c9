"""The processor's backend is there without torch."""

from __future__ import annotations

from isac2.alignment.backends import cpu, open_backend
from isac2.alignment.space import SearchSpace


def test_the_processor_needs_no_torch() -> None:
    assert SearchSpace(10).backend is open_backend("cpu") is cpu
