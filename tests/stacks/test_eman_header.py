"""EMAN2's headers: CTF strings there and back, tables there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isac2.poses import POSE
from isac2.stacks import unknown_metadata
from isac2.stacks.eman_header import (
    format_eman_ctf,
    headers_from_metadata,
    metadata_from_headers,
    parse_eman_ctf,
)


@given(
    u=st.floats(1e3, 5e4),
    difference=st.floats(-2000, 2000),
    angle=st.floats(-90, 180),
    shift=st.floats(-170, 170),
    contrast=st.floats(0, 0.3),
)
def test_a_ctf_string_stands_for_the_same_function(
    u: float, difference: float, angle: float, shift: float, contrast: float
) -> None:
    assume(shift == 0 or abs(shift) > 1e-3)
    text = format_eman_ctf(u, u + difference, angle, shift, contrast, 300.0, 2.7, 1.1)
    back = parse_eman_ctf(text)

    def defocus(u: float, v: float, angle: float, direction: np.ndarray) -> np.ndarray:
        return np.asarray((u + v) / 2 + (u - v) / 2 * np.cos(2 * np.radians(direction - angle)))

    directions = np.arange(0, 180, 10.0)
    np.testing.assert_allclose(
        defocus(
            back["defocus_u_in_angstroms"],
            back["defocus_v_in_angstroms"],
            back["defocus_angle_in_degrees"],
            directions,
        ),
        defocus(u, u + difference, angle, directions),
        atol=0.01,
    )
    phase = np.arcsin(contrast) + np.radians(shift)
    found = np.arcsin(back["amplitude_contrast"]) + np.radians(back["phase_shift_in_degrees"])
    assert np.exp(1j * found) == pytest.approx(np.exp(1j * phase), abs=2e-4)


@pytest.mark.parametrize("text", ["", "O1 2 3", "E1 2", "E1 2 3 4 five 6 7 8", "E" + "nan " * 8])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the CTF"):
        parse_eman_ctf(text)


def test_a_table_survives_as_headers() -> None:
    table = replace(
        unknown_metadata(2),
        pixel_size_in_angstroms=np.array([1.5, 1.5]),
        defocus_u_in_angstroms=np.array([1e4, 2e4]),
        defocus_v_in_angstroms=np.array([1.1e4, 2e4]),
        defocus_angle_in_degrees=np.array([10.0, 20.0]),
        phase_shift_in_degrees=np.zeros(2),
        voltage_in_kilovolts=np.full(2, 300.0),
        spherical_aberration_in_millimetres=np.full(2, 2.7),
        amplitude_contrast=np.full(2, 0.1),
        micrograph=np.array(["a.mrc", "b.mrc"], object),
        coordinate_x=np.array([3.0, 4.5]),
        coordinate_y=np.array([30.0, 40.0]),
        poses=np.array([(10, 1, 2, 0), (-20, 3, 4, 1)], POSE),
        psi_prior_in_degrees=np.array([7.0, 8.0]),
        tube_id=np.array([1, 2]),
        original_id=np.array([70, 80]),
        class_number=np.array([0, 3]),
        phase_flipped=np.array([True, False]),
    )
    back = metadata_from_headers(headers_from_metadata(table))
    for name in table.__dataclass_fields__:
        if name not in ("foreign", "poses", "optics_group"):
            expected, found = getattr(table, name), getattr(back, name)
            if expected.dtype == object:
                assert found.tolist() == expected.tolist()
            else:
                np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=name)
    assert back.poses is not None
    assert table.poses is not None
    for name in POSE.names or ():
        np.testing.assert_allclose(back.poses[name], table.poses[name], atol=1e-12)


def test_the_pixel_size_of_the_ctf_counts_when_eman2_only_has_its_default() -> None:
    ctf = "E1.5 0 0 0 10 300 2.7 1.34 0 0 0"
    sizes = metadata_from_headers(
        [{"apix_x": 1.0, "ctf": ctf}, {"apix_x": 2.0, "ctf": ctf}, {"apix_x": 1.0}, {}]
    ).pixel_size_in_angstroms
    np.testing.assert_array_equal(sizes, [1.34, 2.0, 1.0, np.nan])


def test_foreign_keys_stay_and_pixel_keys_go() -> None:
    table = metadata_from_headers([{"nx": 4, "odd": "x", "apix_x": 2.0}, {"nx": 4}])
    headers = headers_from_metadata(table, {"new": [1, 2]})
    assert headers[0] == {"odd": "x", "apix_x": 2.0, "apix_y": 2.0, "apix_z": 2.0, "new": 1}
    assert headers[1] == {"new": 2}


def test_a_value_of_the_wrong_kind_is_named_by_image() -> None:
    with pytest.raises(ValueError, match="image 2: "):
        metadata_from_headers([{}, {"ptcl_source_coord": "x"}])
    with pytest.raises(ValueError, match="image 1: "):
        metadata_from_headers([{"xform.align2d": [1, 2]}])
