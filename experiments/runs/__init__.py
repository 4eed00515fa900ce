"""The store of runs: list, show, compare, prune, export, upload and verify (``python -m experiments.runs --help``).

In Python: ``experiments.runs.frame("results")`` is a pandas table of all runs.
"""

from experiments.runs.dataframe import frame
from experiments.runs.naming import find_run
from experiments.runs.selection import Selection
from experiments.runs.store import STATES, StoredRun, scan

__all__ = ["STATES", "Selection", "StoredRun", "find_run", "frame", "scan"]
