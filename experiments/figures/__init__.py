"""Figures of runs, from records and checkpoints only (``python -m experiments.figures --help``), one per file."""

from experiments.figures.curves import Curve, Series, curve_of, draw_training_curves

__all__ = ["Curve", "Series", "curve_of", "draw_training_curves"]
