"""The user-dir for fairseq's own commands: ``fairseq-eval-lm DATA --user-dir experiments/engine/fairseq_plugin ...``.

Importing it registers the models, the task and the optimizer, and lets fairseq read its checkpoints under torch's safe
loading.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # fairseq's commands may be called from anywhere

from experiments.engine import checkpoints, families, optimizer

checkpoints.install()

__all__ = ["families", "optimizer"]
