from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import starfile

from isac2.classes.evaluate_files import evaluate_run, read_classification, read_truth
from isac2.errors import InputError
from isac2.poses import make_poses, relion_from_poses


def _write_star(path: Path, names: list[str], **columns: object) -> Path:
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnImagePixelSize": [2.0]})
    particles = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1, **columns})
    starfile.write({"optics": optics, "particles": particles}, path)
    return path


def test_scores_of_the_established_implementation(shared: Path) -> None:
    evaluation = evaluate_run(
        shared / "golden/sphire_run", shared / "data/views_simulated/truth.npz"
    )
    assert evaluation.classes == 17
    assert evaluation.purity == pytest.approx(0.953, abs=5e-4)
    assert (evaluation.views_found, evaluation.views_total) == (16, 16)
    assert evaluation.good_accounted == pytest.approx(0.915, abs=5e-4)
    assert evaluation.junk_accounted == pytest.approx(0.010, abs=5e-4)
    # its poses, taken together with its prealignment, are known to be good
    assert evaluation.pose is not None
    assert evaluation.pose.mirror_agreement == 1
    assert evaluation.pose.in_plane_rms < 0.5
    assert evaluation.pose.pixel_error_rms is not None
    assert evaluation.pose.pixel_error_rms < 0.4


def test_star_gives_classes_and_poses(tmp_path: Path) -> None:
    poses = make_poses([10, 200, -30], [1, 2, 3], [-4, 5, 0.5], [0, 1, 0])
    psi, x, y, flip = relion_from_poses(poses, 2.0)
    star = _write_star(
        tmp_path / "particles.star",
        ["000003@a.mrcs", "000001@a.mrcs", "000002@a.mrcs"],
        rlnClassNumber=[2, 0, 1],
        rlnAnglePsi=psi,
        rlnOriginXAngst=x,
        rlnOriginYAngst=y,
        rlnIsFlip=flip,
    )
    (tmp_path / "run.json").write_text('{"options": {"radius": 12}}')
    for path in (star, tmp_path):
        found = read_classification(path, 4)
        np.testing.assert_array_equal(found.class_of_particle, [-1, 0, 1, -1])
        assert found.poses is not None
        for name in ("tx", "ty", "mirror"):
            np.testing.assert_allclose(found.poses[name][[2, 0, 1]], poses[name], atol=1e-5)
    assert read_classification(tmp_path, 4).radius == 12


def test_images_are_found_by_name_in_the_stack(tmp_path: Path) -> None:
    stack = _write_star(tmp_path / "s.star", ["1@x/a.mrcs", "2@x/a.mrcs", "1@x/b.mrcs"])
    run = _write_star(tmp_path / "r.star", ["01@b.mrcs", "02@a.mrcs"], rlnClassNumber=[1, 2])
    found = read_classification(run, 3, images=stack)
    np.testing.assert_array_equal(found.class_of_particle, [-1, 1, 0])
    assert found.poses is None


def test_rows_of_several_files_count_in_order(tmp_path: Path) -> None:
    run = _write_star(tmp_path / "r.star", ["1@a.mrcs", "1@b.mrcs"], rlnClassNumber=[1, 2])
    np.testing.assert_array_equal(read_classification(run, 2).class_of_particle, [0, 1])


@pytest.mark.parametrize(
    ("names", "columns", "said"),
    [
        (["1@a.mrcs"], {}, "no column rlnClassNumber"),
        (["9@a.mrcs"], {"rlnClassNumber": [1]}, "particle 1 of .* is none of the 4"),
        (["1@a.mrcs", "1@a.mrcs"], {"rlnClassNumber": [1, 1]}, "lists an image twice"),
    ],
)
def test_a_star_that_does_not_fit(
    tmp_path: Path, names: list[str], columns: dict[str, object], said: str
) -> None:
    star = _write_star(tmp_path / "r.star", names, **columns)
    with pytest.raises(InputError, match=said):
        read_classification(star, 4)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither"):
        read_classification(tmp_path, 4)
    with pytest.raises(InputError, match="there is no run"):
        read_classification(tmp_path / "nowhere", 4)
    (tmp_path / "class_averages.hdf").write_text("text")
    with pytest.raises(InputError, match="no EMAN2 file"):
        read_classification(tmp_path, 4)
    (tmp_path / "text.star").write_text("data_\n\n_a 1\n")
    with pytest.raises(InputError, match="rlnImageName"):
        read_classification(tmp_path / "text.star", 4)


def test_a_truth_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no truth file"):
        read_truth(tmp_path / "truth.npz")
    (tmp_path / "truth.npz").write_text("text")
    with pytest.raises(InputError, match=r"no NumPy \.npz file"):
        read_truth(tmp_path / "truth.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"no NumPy \.npz file"):
        read_truth(tmp_path / "a.npy")


TRUTH = {
    "junk": np.zeros(3, int),
    "label": np.zeros(3, int),
    "defocus": np.array([[15000.004, 14900, 30], [16000, 15900, 30], [17000, 16900, 30]]),
    "coordinates": np.array([[300, 400], [500, 600], [700, 800]]),
}


@pytest.mark.parametrize(
    ("defocus", "x", "without", "refused"),
    [
        ([15000, 16000, 17000], [300, 500, 700], (), False),
        ([15100, 16100, 17100], [300, 500, 700], (), False),  # refined
        ([15000, 16000, 17000], [302, 498, 703], (), False),  # picked anew
        ([15100, 16100, 17100], [302, 498, 703], (), True),
        ([15100, 16100, 17100], [302, 498, 703], ("coordinates",), True),  # an older file
        ([15100, 16100, 17100], [302, 498, 703], ("coordinates", "defocus"), False),
    ],
)
def test_the_truth_of_another_stack_is_refused(
    defocus: list[int], x: list[int], without: tuple[str, ...], refused: bool, tmp_path: Path
) -> None:
    star = _write_star(
        tmp_path / "r.star",
        ["1@a.mrcs", "2@a.mrcs", "3@a.mrcs"],
        rlnClassNumber=1,
        rlnDefocusU=np.array(defocus, float),
        rlnDefocusV=np.array(defocus, float) - 100,
        rlnCoordinateX=x,
        rlnCoordinateY=[400, 600, 800],
    )
    known = {name: values for name, values in TRUTH.items() if name not in without}
    np.savez(tmp_path / "truth.npz", **known)  # type: ignore[arg-type]  # of arrays
    if refused:
        with pytest.raises(InputError, match="neither the defocus nor the coordinates"):
            evaluate_run(star, tmp_path / "truth.npz")
    else:
        assert evaluate_run(star, tmp_path / "truth.npz").purity == 1.0


def test_a_table_without_defocus_and_coordinates_is_scored(tmp_path: Path) -> None:
    star = _write_star(tmp_path / "r.star", ["1@a.mrcs", "2@a.mrcs"], rlnClassNumber=1)
    np.savez(tmp_path / "truth.npz", **TRUTH)  # type: ignore[arg-type]  # of arrays
    assert evaluate_run(star, tmp_path / "truth.npz").good_accounted == pytest.approx(2 / 3)


def test_members_beyond_the_truth_are_refused(shared: Path) -> None:
    with pytest.raises(InputError, match="truth of the same stack"):
        read_classification(shared / "golden/sphire_run", 100)
