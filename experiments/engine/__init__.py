"""fairseq as the engine. Everything that touches fairseq lives in this package, so that it could be replaced.

``language_model``, ``language_modeling_task`` and ``optimizer`` register our parts with fairseq; ``fairseq_plugin`` is
the user-dir for fairseq's own command lines; ``translate`` turns our config into a FairseqConfig; ``run`` trains;
``evaluation`` scores a checkpoint.
"""

from experiments.engine import compatibility

compatibility.install()
