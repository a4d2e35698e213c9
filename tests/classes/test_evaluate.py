import json

import numpy as np
import pytest

from isac2.classes.evaluate import evaluate_classes
from isac2.classes.truth import Truth
from isac2.errors import InputError
from isac2.poses import identity_poses


def test_scores_by_hand() -> None:
    truth = Truth(
        junk=np.array([0, 0, 0, 0, 0, 0, 1, 2, 2]),
        view=np.array([0, 0, 0, 1, 1, 2, 1, -1, -1]),
        label=np.array([0, 0, 0, 0, 0, 0, -1, -1, -1]),
    )
    #                  v0 v0 v0 v1 v1 v2 (good)   noise ice ice
    classes = np.array([4, 4, 4, 4, 9, -1, 9, -1, -1])
    evaluation = evaluate_classes(classes, truth)
    assert evaluation.purity == pytest.approx(4 / 5)  # three of four, one of one
    assert evaluation.purity_by_label == 1
    assert (evaluation.views_found, evaluation.views_total) == (2, 3)
    assert evaluation.good_accounted == pytest.approx(5 / 6)
    assert evaluation.junk_accounted == pytest.approx(1 / 3)
    assert evaluation.junk_accounted_by_kind == {"noise": 1.0, "ice": 0.0}
    assert evaluation.class_sizes == (4, 2)
    assert [score.identifier for score in evaluation.per_class] == [4, 9]
    assert evaluation.pose is None
    json.dumps(evaluation.as_dict())


def test_a_perfect_classification_is_perfect() -> None:
    view = np.repeat(np.arange(4), 5)
    evaluation = evaluate_classes(3 - view, Truth(junk=np.zeros(20, int), view=view))
    assert evaluation.purity == 1
    assert evaluation.adjusted_rand_index == 1
    assert evaluation.views_found == 4
    assert evaluation.junk_accounted is None


def test_the_same_view_number_of_two_molecules_is_two_views() -> None:
    truth = Truth(junk=np.zeros(4, int), view=np.zeros(4, int), label=np.array([0, 0, 1, 1]))
    evaluation = evaluate_classes(np.zeros(4, int), truth)
    assert evaluation.purity == 0.5
    assert (evaluation.views_found, evaluation.views_total) == (1, 2)


def test_without_views_or_molecules_only_shares_are_known() -> None:
    evaluation = evaluate_classes(np.array([0, 0, -1]), Truth(junk=np.array([0, 0, 3])))
    assert evaluation.purity is None
    assert evaluation.adjusted_rand_index is None
    assert evaluation.views_total is None
    assert evaluation.good_accounted == 1


def test_a_class_of_junk_alone_and_no_class_at_all() -> None:
    truth = Truth(junk=np.array([1, 1, 0]), view=np.array([-1, -1, 0]), euler=np.zeros((3, 3)))
    evaluation = evaluate_classes(np.array([0, 0, -1]), truth)
    assert evaluation.per_class[0].purity is None
    assert evaluation.views_found == 0
    nothing = evaluate_classes(np.array([-1, -1, -1]), truth)
    assert nothing.classes == 0
    assert nothing.purity is None


def test_spread_takes_a_direction_and_its_opposite_as_one() -> None:
    euler = np.array([[0, 10, 0], [180, 170, 77], [0, 10, 5], [0, 30, 0.0]])
    evaluation = evaluate_classes(np.zeros(4, int), Truth(junk=np.zeros(4, int), euler=euler))
    assert evaluation.angular_spread_median == pytest.approx(0, abs=1e-5)
    assert evaluation.angular_spread_mean == pytest.approx(20 / 4)
    other = evaluate_classes(np.zeros(2, int), Truth(junk=np.zeros(2, int), euler=euler[[0, 3]]))
    assert other.angular_spread_median == pytest.approx(10)


def test_poses_are_scored_on_the_commonest_view_only() -> None:
    euler = np.array([[0, 20, 0]] * 3 + [[90, 80, 123.0]])
    truth = Truth(
        junk=np.zeros(4, int), view=np.array([0, 0, 0, 1]), euler=euler, shift=np.zeros((4, 2))
    )
    evaluation = evaluate_classes(np.zeros(4, int), truth, identity_poses(4), radius=30)
    assert evaluation.pose is not None
    assert evaluation.pose.members == 3
    assert evaluation.pose.pixel_error_rms == pytest.approx(0, abs=1e-6)


def test_a_truth_of_another_stack_is_refused() -> None:
    with pytest.raises(InputError, match="2 particles and the truth 3"):
        evaluate_classes(np.zeros(2, int), Truth(junk=np.zeros(3, int)))
