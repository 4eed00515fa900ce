"""The user-dir for fairseq's own commands: ``fairseq-eval-lm DATA --user-dir experiments/engine/fairseq_plugin ...``.

Importing it registers the models and the optimizer, and lets fairseq read its checkpoints under torch's safe loading.
"""

from experiments.engine import checkpoints, language_model, optimizer

checkpoints.install()

__all__ = ["language_model", "optimizer"]
