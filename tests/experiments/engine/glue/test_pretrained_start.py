"""A fine-tuning trains the encoder that it starts from, names it, and takes its weights unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data_prep.core.manifest import sha256_of
from experiments.config import compose, identity, run_directory
from experiments.config.pretraining import pretraining_config
from experiments.engine import checkpoints
from experiments.engine.families import family_of
from experiments.engine.families.glue.pretrained import compare
from experiments.engine.families.glue.task import LRPESentencePredictionTask
from experiments.engine.translate import fairseq_config
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY_BLM, TINY_GLUE, only_run, run_module
from tests.experiments.engine.glue.support import ENCODING
from tests.experiments.engine.support import ONE, record_of, weights_of

HEAD = "classification_heads.sentence_classification_head"


def test_a_fine_tuning_trains_its_pretraining_first_and_names_it(results: Path) -> None:
    pretrained, tuned = only_run(results, "blm"), only_run(results, "glue")
    assert record_of(pretrained)["status"] == "finished"
    record = record_of(tuned)
    assert (record["status"], record["run"]["task"], record["sentences"]) == ("finished", "rte", 12 * 4)
    start = record["manifest"]["pretrained"]
    assert start["checkpoint"] == str(pretrained / "checkpoints" / "checkpoint_best.pt")
    assert (start["start"], start["identity"]) == ("run", record_of(pretrained)["run"]["identity"])
    assert start["checkpoint_sha256"] == sha256_of(pretrained / "checkpoints" / "checkpoint_best.pt")
    assert start["new"] == [f"{HEAD}.{part}.{kind}" for part in ("dense", "output") for kind in ("bias", "weight")]
    assert all(name.startswith("masked_lm_head.") for name in start["unused"])
    assert start["taken"] == len(weights_of(tuned)) - len(start["new"])


def test_a_pretraining_can_be_trained_alone_and_is_the_same_run(results: Path, data: Path, tmp_path: Path) -> None:
    words = [*TINY_GLUE, ENCODING, "task=rte"]
    run_module("experiments.pretrain", data, tmp_path, *words)
    alone = only_run(tmp_path)
    assert alone.relative_to(tmp_path) == only_run(results, "blm").relative_to(results)
    assert record_of(alone)["metrics"] == record_of(only_run(results, "blm"))["metrics"]
    assert record_of(alone)["manifest"]["command"] == ["python", "-m", "experiments.pretrain", *words]
    refused = run_module("experiments.pretrain", data, tmp_path, "experiment=alm", check=False)
    assert refused.returncode == 2
    assert "this run starts from no other; use experiments.train" in refused.stderr


@pytest.mark.usefixtures("_places")
def test_the_pretraining_is_part_of_a_fine_tuning_s_identity() -> None:
    words = [*TINY_GLUE, ENCODING, "task=rte"]
    base = compose(words)
    assert identity(pretraining_config(base)) == identity(compose([*TINY_BLM, ENCODING]))
    others = [
        ["pretraining.recipe.max_update=13"],
        ["pretraining.start=scratch"],
        ["task=cola"],
        ["recipe.learning_rate=5e-3"],
        ["recipe.head_dropout=0.1"],
    ]
    found = {identity(base), *(identity(compose([*words, *other])) for other in others)}
    assert len(found) == 1 + len(others)
    assert identity(compose([*words, "engine.threads=2", "tracker=offline"])) == identity(base)
    assert run_directory(base).parent.name.startswith("lrpe_unitary_learned-rte-")


@pytest.mark.usefixtures("_places")
def test_a_checkpoint_of_another_model_is_refused_by_name(results: Path) -> None:
    path = only_run(results, "blm") / "checkpoints" / "checkpoint_best.pt"
    weights = checkpoints.read(path)["model"]
    for words, message in (
        (["encoding=rope"], "encoder.layers.0.attention.encoding"),
        ([ENCODING, "model.ffn_dim=48"], r"ffn_in.bias has the shape \(64,\) and this config's model \(48,\)"),
        ([ENCODING, "protocol.absolute=sinusoidal", "model.num_layers=3"], "encoder.layers.2"),
    ):
        config = compose([*TINY_GLUE, "task=rte", "pretraining.start=scratch", *words])
        with pytest.raises(UserError, match=message):
            compare(family_of(config).build(config).state_dict(), weights, path)


@pytest.mark.usefixtures("_places")
def test_weights_arrive_unchanged(results: Path, data: Path) -> None:
    config = compose([*TINY_GLUE, ENCODING, "task=rte"])
    fairseq = fairseq_config(config, data / "unused", ONE)
    torch.manual_seed(0)
    model = LRPESentencePredictionTask.setup_task(fairseq.task).build_model(fairseq.model)
    pretrained = weights_of(only_run(results, "blm"), "checkpoint_best.pt")
    for name, weight in model.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(weight, pretrained[name]), name
    decayed = {name for name, p in model.named_parameters() if not hasattr(p, "optim_overrides")}
    assert not [name for name in decayed if "norm" in name or "angle" in name]
