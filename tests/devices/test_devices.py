"""Which device a word stands for, and what is said where there is none."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import SimpleNamespace

import pytest

from isac2.devices import find_device, torch_names
from isac2.errors import InputError


def pretend_torch(monkeypatch: pytest.MonkeyPatch, gpus: int | None) -> None:
    """Make the program find a torch with so many GPUs, or none at all."""
    found = None if gpus is None else object()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    cuda = SimpleNamespace(is_available=lambda: bool(gpus), device_count=lambda: gpus)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


@pytest.mark.parametrize(
    ("asked", "gpus", "device"),
    [
        ("cpu", None, "cpu"),
        ("auto", None, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
        ("torch:cpu", 0, "torch:cpu"),
    ],
)
def test_a_word_stands_for_a_device(
    monkeypatch: pytest.MonkeyPatch, asked: str, gpus: int | None, device: str
) -> None:
    pretend_torch(monkeypatch, gpus)
    assert find_device(asked) == device


@pytest.mark.parametrize(
    ("asked", "gpus", "said"),
    [
        ("cuda", None, "--device=cuda needs torch, which is not installed: .* 'isac2\\[gpu\\]'"),
        ("torch:cpu", None, "needs torch"),
        ("cuda", 0, "--device=cuda: torch finds no GPU here"),
        ("cuda:2", 2, "--device=cuda:2: there are GPUs 0 to 1 here"),
        ("gpu", 1, "--device=gpu is no device: give auto, cpu, cuda or cuda:N"),
        ("cuda:", 1, "is no device"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, asked: str, gpus: int | None, said: str
) -> None:
    pretend_torch(monkeypatch, gpus)
    with pytest.raises(InputError, match=said) as caught:
        find_device(asked)
    assert re.search(r"\.\s", str(caught.value)) is None


def test_all_gpus_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_torch(monkeypatch, 2)
    assert torch_names("cuda") == ("cuda:0", "cuda:1")
