"""Tuning with Optuna: what ``python -m experiments.tune`` is made of."""
