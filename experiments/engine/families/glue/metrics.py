"""GLUE's metrics (Wang et al. 2019, table 1), by scikit-learn and SciPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import ConstantInputWarning, NearConstantInputWarning, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

Metric = Callable[[np.ndarray, np.ndarray], float]


def _accuracy(prediction: np.ndarray, target: np.ndarray) -> float:
    return float(accuracy_score(target, prediction))


def _f1(prediction: np.ndarray, target: np.ndarray) -> float:
    """Of class 1; 0 where nothing is, or is predicted to be, of class 1."""
    return float(f1_score(target, prediction, average="binary", pos_label=1, zero_division=0.0))  # pyright: ignore[reportArgumentType]


def _matthews(prediction: np.ndarray, target: np.ndarray) -> float:
    return float(matthews_corrcoef(target, prediction))


def _correlation(function: Callable[..., object]) -> Metric:
    def correlate(prediction: np.ndarray, target: np.ndarray) -> float:
        """0 where it is not defined: what is constant goes along with nothing."""
        if len(prediction) < 2:
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            warnings.simplefilter("ignore", NearConstantInputWarning)
            found = float(function(prediction, target).statistic)  # type: ignore[attr-defined]
        return found if np.isfinite(found) else 0.0

    return correlate


METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _correlation(pearsonr),
    "spearman": _correlation(spearmanr),
}


def measure(names: Sequence[str], prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The metrics called ``names``, each of at most 1.

    Args:
        names: keys of :data:`METRICS`.
        prediction: ``(examples,)``: numbers of classes, or scores.
        target: the same of the truth.

    Raises:
        ValueError: different lengths, or no example.
    """
    if prediction.shape != target.shape or prediction.ndim != 1 or not len(target):
        raise ValueError(f"prediction {prediction.shape} and target {target.shape}: expected (examples,) of each")
    return {name: METRICS[name](prediction, target) for name in names}


def mean(values: Sequence[float]) -> float:
    """A task's score: GLUE averages the metrics of a task that has several, and then the tasks."""
    return float(np.mean(values))
