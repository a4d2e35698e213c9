import numpy as np
import pytest

from isac2.classes.truth import truth_from_arrays
from isac2.errors import InputError


def test_only_junk_is_needed_and_other_keys_are_left_alone() -> None:
    truth = truth_from_arrays({"junk": np.array([0, 1]), "defocus": np.zeros((2, 3))})
    assert len(truth) == 2
    assert truth.view is None
    assert truth.label is None


def test_a_view_that_is_nowhere_known_says_nothing() -> None:
    truth = truth_from_arrays({"junk": np.zeros(2), "view": np.array([-1, -1])})
    assert truth.view is None


def test_names_are_read() -> None:
    truth = truth_from_arrays(
        {"junk": np.zeros(1), "map_names": np.array(["a"]), "junk_names": np.array(["fine", "bad"])}
    )
    assert truth.label_names == ("a",)
    assert truth.junk_names == ("fine", "bad")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"view": np.zeros(3)}, "no array 'junk'"),
        ({"junk": np.zeros(3), "view": np.zeros(2)}, "'view' has shape"),
        ({"junk": np.zeros(3), "euler": np.zeros((3, 2))}, "'euler' has shape"),
        ({"junk": np.array(["a", "b"])}, "'junk' has shape"),
    ],
)
def test_what_does_not_fit_is_named(arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(InputError, match=said):
        truth_from_arrays(arrays, "truth.npz")
