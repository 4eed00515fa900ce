"""GLUE's metrics against their formulas, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from data_prep.api import TASKS
from experiments.engine.families.glue.metrics import METRICS, mean, measure

TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, 1])
ANSWER = np.array([1, 0, 1, 0, 1, 0, 0, 1])  # 3 true positives, 1 false negative, 1 false positive, 3 true negatives


def test_by_hand() -> None:
    found = measure(["accuracy", "f1", "matthews"], ANSWER, TRUTH)
    assert found["accuracy"] == pytest.approx(6 / 8)
    assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert found["matthews"] == pytest.approx((3 * 3 - 1 * 1) / math.sqrt(4 * 4 * 4 * 4))
    scores, truth = np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 5.0])
    found = measure(["pearson", "spearman"], scores, truth)
    covariance = sum((s - 7 / 3) * (t - 8 / 3) for s, t in zip(scores, truth, strict=True))
    spread = math.sqrt(sum((s - 7 / 3) ** 2 for s in scores) * sum((t - 8 / 3) ** 2 for t in truth))
    assert found["pearson"] == pytest.approx(covariance / spread)
    assert found["spearman"] == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_classes_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    answer, truth = (np.array(column) for column in zip(*pairs, strict=True))
    found = measure(["accuracy", "f1", "matthews"], answer, truth)
    assert found["accuracy"] == sklearn.accuracy_score(truth, answer)
    assert found["f1"] == sklearn.f1_score(truth, answer, zero_division=0)
    assert found["matthews"] == sklearn.matthews_corrcoef(truth, answer)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=40))
def test_scores_agree_with_scipy_where_it_has_an_answer(pairs: list[tuple[int, int]]) -> None:
    answer, truth = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    found = measure(["pearson", "spearman"], answer, truth)
    if len(set(answer)) > 1 and len(set(truth)) > 1:
        assert found["pearson"] == pytest.approx(stats.pearsonr(answer, truth).statistic)
        assert found["spearman"] == pytest.approx(stats.spearmanr(answer, truth).statistic)
    else:
        assert found == {"pearson": 0.0, "spearman": 0.0}, "what is constant goes along with nothing"


def test_a_constant_answer_has_no_correlation_with_classes_either() -> None:
    assert measure(["matthews", "f1"], np.zeros(4, dtype=int), np.array([0, 1, 0, 1])) == {"matthews": 0.0, "f1": 0.0}


def test_every_task_is_measured_and_averaged() -> None:
    for task in TASKS.values():
        assert set(task.metrics) <= METRICS.keys()
    assert mean([0.8, 0.9]) == pytest.approx(0.85)


@pytest.mark.parametrize(("answer", "truth"), [(np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0))])
def test_what_does_not_fit_is_refused(answer: np.ndarray, truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="examples"):
        measure(["accuracy"], answer, truth)
