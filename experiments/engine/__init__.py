"""fairseq as the engine. Everything that touches fairseq lives in this package, so that it could be replaced.

``families`` has one package for each family of experiments, with its models, task and evaluation, and registers them
with fairseq; ``fairseq_plugin`` is the user-dir for fairseq's own command lines; ``translate`` turns our config into a
FairseqConfig; ``run`` trains.
"""

from experiments.engine import patches

patches.install()
