"""Measured tables that are kept in git with the records behind every cell (``python -m experiments.measured``)."""
