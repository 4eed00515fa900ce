"""What would make a GPU's queue run dry: operators whose result the host waits for. Counted without a GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import tasks
from fairseq.tasks import FairseqTask
from torch.utils._python_dispatch import TorchDispatchMode

from experiments import train
from experiments.config import compose
from experiments.engine import logged
from experiments.engine.distributed import DistributedContext
from experiments.engine.families import family_of
from experiments.engine.nonfinite import CheckedTrainer
from experiments.engine.translate import fairseq_config
from lrpe.ops import linear_cross_entropy
from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE
from tests.experiments.engine.glue.conftest import data as glue_data  # noqa: F401 - a fixture
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGES
from tests.experiments.engine.imagenet.conftest import image_data  # noqa: F401 - a fixture

WAITING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_dim", "_unique2", "bincount"),
}
INDEXING = ("index", "index_put", "index_put_")


class Waits(TorchDispatchMode):
    """Counts the operators for which CUDA has to finish what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in INDEXING and any(x is not None and x.dtype == torch.bool for x in args[1])
        if name in WAITING or by_mask or (name == "repeat_interleave" and not (kwargs or {}).get("output_size")):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def _counting(kind: type, method: str, into: list[Counter[str]]) -> Iterator[None]:
    plain = getattr(kind, method)

    def counted(*arguments: Any, **options: Any) -> Any:
        with Waits() as waits:
            done = plain(*arguments, **options)
        into.append(waits.found)
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, method, counted)
        yield


WORDS = {
    "alm": [*TINY, "encoding=lrpe_unitary_learned"],
    "blm": [*TINY_BLM, "encoding=lrpe_orthogonal"],
    "glue": [
        *(word for word in TINY_GLUE if not word.startswith("pretraining.")),
        *("task=rte", "pretraining.start=scratch", "encoding=rope"),
    ],
    "imagenet": [
        *(word for word in TINY_IMAGES if "epochs" not in word),
        "encoding=lrpe_orthogonal",
        "recipe.mixup=0.8",
    ],
}


@pytest.mark.parametrize("family", WORDS)
def test_a_pass_never_waits_and_an_update_waits_once(
    family: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one place is where an update whose gradient is not finite has to be left out: the loss and gradient are read
    by us, and the norm by fairseq, for which nothing is left to be waited for."""
    data = request.getfixturevalue({"imagenet": "image_data", "glue": "glue_data"}.get(family, "tiny_data"))
    monkeypatch.setenv("LRPE_DATA", str(data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(linear_cross_entropy, "_is_known_one", lambda upstream: False)  # as on a GPU, both
    monkeypatch.setattr(logged, "number", lambda value: value.double() if torch.is_tensor(value) else float(value))
    short = ["recipe.max_update=3", "recipe.warmup_updates=1", "recipe.validate_interval_updates=3"]
    passes: list[Counter[str]] = []
    updates: list[Counter[str]] = []
    with _counting(FairseqTask, "train_step", passes), _counting(CheckedTrainer, "train_step", updates):
        assert train.run(compose([*WORDS[family], *short, "engine.log_interval=3"])) == 0
    assert passes == [Counter()] * 3
    assert all(found.keys() <= {"_local_scalar_dense"} for found in updates)
    assert max(found.total() for found in updates) <= 2


def test_what_waits_is_seen() -> None:
    values = torch.arange(4.0)
    with Waits() as waits:
        values[values > 1].sum().item()
    assert waits.found.keys() == {"index", "_local_scalar_dense"}


@pytest.mark.parametrize("family", WORDS)
def test_a_trial_batch_is_what_the_loader_makes(
    family: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = request.getfixturevalue({"imagenet": "image_data", "glue": "glue_data"}.get(family, "tiny_data"))
    monkeypatch.setenv("LRPE_DATA", str(data))
    config = compose(WORDS[family])
    task = tasks.setup_task(fairseq_config(config, tmp_path, DistributedContext(0, 0, 1, cuda=False)).task)
    task.load_dataset("train")
    batches = task.get_batch_iterator(task.dataset("train"), max_sentences=2, required_batch_size_multiple=1)
    loaded = next(iter(batches.next_epoch_itr(shuffle=False)))
    tried = family_of(config).trial_batch(config, task, 2)
    assert tried.keys() <= loaded.keys()
    for name in tried["net_input"]:
        ours, theirs = tried["net_input"][name], loaded["net_input"][name]
        assert (ours.dtype, ours.dim(), len(ours)) == (theirs.dtype, theirs.dim(), len(theirs)), name
    assert tried["target"].dtype == loaded["target"].dtype
    assert tried["target"].numel() >= loaded["target"].numel()
