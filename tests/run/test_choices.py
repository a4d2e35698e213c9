"""What the program chooses where it is left to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.errors import InputError
from isac2.run.choices import Choice, choose_settings
from isac2.run.options import Settings
from isac2.stacks import write_mrcs


def chosen(words: dict[str, Any], stack: Path = Path("absent.star")) -> dict[str, Any]:
    settings, choices = choose_settings(stack, words)
    assert isinstance(settings, Settings)
    return {choice.option: choice.value for choice in choices}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, {"minimum_grp_size": 120}),
        ({"images_per_group": 100}, {"minimum_grp_size": 60}),
        ({"images_per_group": 99}, {"minimum_grp_size": 59}),
        ({"images_per_group": 99, "minimum_group_size": 10}, {}),
        ({"minimum_group_size": "auto"}, {"minimum_grp_size": 120}),
        ({"images_per_group": 50, "minimum_group_size": "auto"}, {"minimum_grp_size": 30}),
        ({"minimum_group_size": 60}, {}),
        ({"minimum_group_size": 60, "pixel_error_threshold": "auto"}, {"thld_err": 0.7}),
        (
            {
                "minimum_group_size": 60,
                "pixel_error_threshold": "auto",
                "target_radius": 58,
                "target_box_size": 140,
            },
            {"thld_err": 1.4},
        ),
    ],
)
def test_what_is_left_out_keeps_its_default_unless_that_cannot_be(
    words: dict[str, Any], expected: dict[str, float]
) -> None:
    assert chosen({"radius": 30, **words}) == expected


def test_sizes_and_radius_are_read_from_the_stack(tmp_path: Path) -> None:
    y, x = np.mgrid[-16:16, -16:16]
    disc = (np.hypot(x, y) <= 8).astype(np.float32)
    noise = np.random.default_rng(3).normal(0, 0.5, (60, 32, 32)).astype(np.float32)
    write_mrcs(tmp_path / "discs.mrcs", disc + noise, 2.0)
    found = chosen({"images_per_group": "auto", "radius": None}, tmp_path / "discs.mrcs")
    assert found.pop("radius") == pytest.approx(8, abs=2)
    assert found == {"img_per_grp": 50, "minimum_grp_size": 30}


def test_what_was_chosen_for_a_run_stays(tmp_path: Path, finished: Any) -> None:
    document = json.loads(finished.run_json.read_text())
    document["choices"] = [{"option": "radius", "value": 17, "reason": "measured before"}]
    (tmp_path / "run.json").write_text(json.dumps(document))
    settings, choices = choose_settings("absent.star", {"minimum_group_size": 9}, tmp_path)
    assert settings.radius == 17
    assert choices == (Choice("radius", 17, "measured before"),)


def test_auto_where_it_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="--xr=auto means nothing"):
        choose_settings("absent.star", {"radius": 30, "x_range": "auto"})


def test_a_run_tells_and_records_its_choices_and_goes_on_with_them(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(tiny.path), str(tmp_path / "run"), "--radius=10", "--img_per_grp=18"]
    words += ["--target_radius=8", "--target_nx=24", "--maxit=3", "--init_iter=1", "--rand_seed=1"]
    assert main([*words, "--thld_err=auto", "--threads=1"]) == 0
    said = (tmp_path / "run" / "isac2.log").read_text()
    assert "--minimum_grp_size=11: 60 % of --img_per_grp=18" in said
    assert "--thld_err=0.193: 0.7 for a target radius of 29" in said
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    chosen = ["minimum_grp_size", "thld_err", "noise_whitening"]
    assert [row["option"] for row in record["choices"]] == chosen
    assert record["options"]["minimum_grp_size"] == 11
    assert main([*words, "--thld_err=auto"]) == 0
    assert "is finished" in capsys.readouterr().err
