import json

import pytest

from isac2.errors import InputError
from isac2.simulate import PRESETS, Recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"particles": 0}, "--particles is 0"),
        ({"box": 63}, "--box is 63"),
        ({"pixel_size_in_angstroms": 0.0}, "--pixel-size"),
        ({"molecules": ()}, "--molecule"),
        ({"orientations": "random"}, "--views knows no 'random'"),
        ({"shift_in_pixels": 40.0}, "--shift"),
        ({"snr": 0.0}, "--snr"),
        ({"snr": float("nan")}, "--snr"),
        ({"noise": "pink"}, "--noise knows no 'pink'"),
        ({"defocus_in_micrometres": (3.0, 1.0)}, "--defocus"),
        ({"astigmatism_in_angstroms": 1e5}, "--astigmatism"),
        ({"amplitude_contrast": 1.5}, "--amplitude-contrast"),
        ({"junk_fraction": 1.0}, "--junk"),
        ({"junk_kinds": ("dust",)}, "--junk-kinds knows no 'dust'"),
        ({"pixel_type": "int4"}, "--pixel-type"),
    ],
)
def test_what_is_out_of_range_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Recipe().with_changes(**change)


def test_recipes_are_json() -> None:
    for recipe in PRESETS.values():
        assert json.loads(json.dumps(recipe.as_dict()))["particles"] == recipe.particles
    text = json.dumps(Recipe(snr=float("inf")).as_dict(), allow_nan=False)
    assert json.loads(text)["snr"] == "inf"
