"""The option table, its checks, and the page made from it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.clustering.parameters import ClusteringParameters
from isac2.errors import InputError
from isac2.run.option_page import option_page
from isac2.run.options import Settings, check_words, option_default, option_table

# name, default: the seed's page, typed off by hand
SEED_OPTIONS = {
    "img_per_grp": 200,
    "CTF": False,
    "VPP": False,
    "xr": 1,
    "thld_err": 0.7,
    "target_radius": 29,
    "target_nx": 76,
    "ir": 1,
    "rs": 1,
    "yr": -1,
    "ts": 1.0,
    "maxit": 30,
    "center_method": -1,
    "dst": 90.0,
    "FL": 0.2,
    "FH": 0.45,
    "FF": 0.2,
    "init_iter": 7,
    "iter_reali": 1,
    "stab_ali": 5,
    "minimum_grp_size": None,  # 60 historically; 60 % of img_per_grp, see docs/method.md, [aa]
    "rand_seed": None,
    "skip_prealignment": False,
    "restart": -1,
    "skip_ordering": False,
    "filament_width": -1,
    "filament_mask_ignore": False,
}


def test_every_historical_option_has_its_name_and_default() -> None:
    defaults = {option.name: option_default(name) for name, option in option_table().items()}
    assert {name: defaults[name] for name in SEED_OPTIONS} == SEED_OPTIONS


def test_defaults_pass_their_own_checks_and_agree_with_the_method() -> None:
    expected = ClusteringParameters(noise_radius=120.0)
    assert Settings(radius=120).clustering_parameters() == expected


def test_a_least_class_follows_its_group_unless_it_was_given() -> None:
    usual, given = Settings(radius=9), Settings(radius=9, minimum_group_size=70)
    assert Settings(**usual.as_words()) == usual
    assert Settings(**{**usual.as_words(), "images_per_group": 50}).minimum_group_size == 30
    assert Settings(**{**given.as_words(), "images_per_group": 100}).minimum_group_size == 70


def test_every_field_of_the_method_follows_its_option() -> None:
    settings = Settings(
        radius=50,
        images_per_group=90,
        x_range=3,
        y_range=2,
        translation_step=0.5,
        pixel_error_threshold=0.9,
        target_radius=31,
        target_box_size=80,
        inner_radius=2,
        ring_step=3,
        alignment_rounds=31,
        discrete_angle=45.0,
        lowest_frequency=0.15,
        highest_frequency=0.4,
        falloff=0.3,
        maximum_rounds=4,
        stability_interval=2,
        stability_alignments=6,
        stability_frequency=0.2,
        minimum_group_size=61,
        new_classes_needed=1,
        assignment="greedy",
        device="cuda",
    )
    changed = asdict(settings.clustering_parameters())
    unchanged = asdict(ClusteringParameters())
    assert [name for name in changed if changed[name] == unchanged[name]] == []
    assert (changed["x_range"], changed["y_range"]) == (3.0, 2.0)
    assert settings.working_box_size == 82


def test_y_range_follows_x_range_by_default() -> None:
    assert Settings(radius=30, x_range=2).search_range == (2, 2)
    assert Settings(radius=30, x_range=2, y_range=0).search_range == (2, 0)


@pytest.mark.parametrize("x_range", [0, 1])
def test_working_box_is_the_target_box_for_small_ranges(x_range: int) -> None:
    assert Settings(radius=30, x_range=x_range).working_box_size == 76


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"radius": 0}, "--radius=0"),
        ({"radius": 12.5}, "--radius=12.5"),
        ({"radius": "30"}, "--radius='30'"),
        ({"radius": True}, "--radius=True"),
        ({"images_per_group": 1}, "--img_per_grp=1"),
        ({"phase_flip": 1}, "--CTF"),
        ({"phase_flip": True, "phase_plate": True}, "--CTF and --VPP"),
        ({"images_per_group": 59, "minimum_group_size": 60}, "--minimum_grp_size=60"),
        ({"lowest_frequency": 0.46}, "--FL=0.46"),
        ({"highest_frequency": 0.6}, "--FH=0.6"),
        ({"pixel_error_threshold": float("nan")}, "--thld_err=nan"),
        ({"inner_radius": 30}, "--ir=30"),
        ({"target_radius": 37}, "--target_nx=78"),
        ({"x_range": 20}, "--target_nx=81"),
        ({"centring_method": 8}, "--center_method=8"),
        ({"stability_alignments": 1}, "--stab_ali=1"),
        ({"stability_frequency": 0.05}, "--stab_FH=0.05"),
        ({"filament_width": 0}, "--filament_width=0"),
        ({"seed": -1}, "--rand_seed=-1"),
        ({"restart": -2}, "--restart=-2"),
        ({"device": "gpu"}, "--device=gpu is unknown: give auto, cpu, cuda or cuda:N"),
        ({"device": 0}, "--device=0"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(words: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**{"radius": 30, **words})
    message = str(caught.value)
    assert said in message
    assert message.endswith(".")
    assert re.search(r"\.\s", message) is None


def test_the_suggested_box_is_accepted() -> None:
    assert Settings(radius=30, target_radius=37, target_box_size=78).working_box_size == 78
    assert Settings(radius=30, x_range=20, target_box_size=81).working_box_size == 100


def test_numbers_of_numpy_become_plain_ones() -> None:
    settings = Settings(radius=np.int64(30), translation_step=np.float32(0.5))  # type: ignore[arg-type]
    assert type(settings.radius) is int
    assert type(settings.translation_step) is float


def test_python_words_are_checked() -> None:
    check_words({"radius": 30})
    with pytest.raises(InputError, match="'images_per_group'"):
        check_words({"radius": 30, "img_per_grp": 100})
    with pytest.raises(InputError, match="no setting 'radios'"):
        check_words({"radios": 30})


def test_the_manual_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "options.md"
    assert page.read_text(encoding="utf-8") == option_page(), (
        "run: python -m isac2.run.option_page > docs/options.md"
    )
    rows = {line.split("`")[1]: line for line in option_page().splitlines() if line[:4] == "| `-"}
    for option in option_table().values():
        # the word is offered where it is taken, and only there
        assert ("auto: " in rows[f"--{option.name}"]) == bool(option.automatic)
