"""fairseq's own command lines on our models and checkpoints, through the user-dir."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import entry_points
from tests.experiments.conftest import ROOT, only_run, run_train

BIN = Path(sys.executable).parent
PLUGIN = str(ROOT / "experiments" / "engine" / "fairseq_plugin")


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    run_train(tiny_data, results, "encoding=lrpe_orthogonal", "recipe.max_update=4")
    return only_run(results)


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


def _command(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return entry_points.run(f"experiments.{name}", [*words, "device=cpu"], ROOT, os.environ, timeout=300)


def test_eval_lm_scores_a_checkpoint_as_we_do(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    data = str(tiny_data / "wikitext2")
    checkpoint = str(trained / "checkpoints" / "checkpoint_best.pt")
    output = _run(
        tmp_path, "fairseq-eval-lm", data, "--user-dir", PLUGIN, "--path", checkpoint, "--cpu",
        "--tokens-per-sample", "32", "--batch-size", "4", "--gen-subset", "test",
    )  # fmt: skip
    theirs = float(re.search(r"Perplexity: ([\d.]+)", output)[1])
    done = _command("evaluate", f"run={trained}", "split=test")
    ours = float(re.search(r"perplexity ([\d.]+)", done.stdout)[1])
    assert ours == pytest.approx(theirs, abs=0.02)


def test_a_context_window_scores_every_token_with_its_context(trained: Path) -> None:
    outputs = []
    for window in ("0", "16"):
        done = _command("evaluate", f"run={trained}", f"context_window={window}")
        outputs.append(re.search(r"perplexity ([\d.]+).* ([\d,]+) tokens", done.stdout).groups())
    assert outputs[0][1] == outputs[1][1], "the same tokens are scored"
    assert outputs[0][0] != outputs[1][0], "with other contexts"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("split=tset", "train, valid"),
        ("context_window=32", "0 to 31"),
        ("contxt_window=3", "context_window"),
        ("run=/nowhere", "no checkpoint"),
    ],
)
def test_evaluate_refuses_with_one_message(argument: str, message: str, trained: Path) -> None:
    arguments = [argument] if argument.startswith("run") else [f"run={trained}", argument]
    done = _command("evaluate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_generate_continues_prompts_with_and_without_beams(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    data = str(tiny_data / "wikitext2")
    output = _run(
        tmp_path, "fairseq-generate", data, "--user-dir", PLUGIN, "--task", "language_modeling", "--cpu",
        "--path", str(trained / "checkpoints" / "checkpoint_best.pt"), "--gen-subset", "test",
        "--batch-size", "2", "--beam", "3", "--max-len-b", "20", "--sample-break-mode", "eos",
        "--tokens-per-sample", "32", "--required-batch-size-multiple", "1",  # its default of 8 loses the last batches
    )  # fmt: skip
    hypotheses = re.findall(r"^H-\d+\t\S+\t(.*)$", output, re.MULTILINE)
    assert len(hypotheses) == 20
    assert all("word" in hypothesis for hypothesis in hypotheses)


def test_our_generate_streams_a_seeded_continuation(trained: Path) -> None:
    words = (f"run={trained}", "prompt=word3 word7", "tokens=12")
    first, again = (_command("generate", *words).stdout for _ in "ab")
    assert first == again
    assert first.startswith("word3 word7")
    assert len(first.split()) > 2
    assert "<unk>" not in first


HYDRA_CONFIG = """
common: {{user_dir: {plugin}, cpu: true}}
task: {{_name: lrpe_language_modeling, data: {data}, tokens_per_sample: 32, batch_sequences: 4}}
model:
  _name: lrpe_lm
  config: '{{"num_layers": 1, "embed_dim": 32, "ffn_dim": 32, "num_heads": 2, "encoding": {{"name": "rope"}}}}'
criterion: {{_name: cross_entropy}}
optimizer: {{_name: lrpe_adam}}
lr_scheduler: {{_name: inverse_sqrt, warmup_updates: 2}}
optimization: {{lr: [0.001], max_update: 3}}
dataset: {{batch_size: 4, required_batch_size_multiple: 1}}
checkpoint: {{save_dir: {folder}/out}}
distributed_training: {{distributed_world_size: 1}}
"""


def test_hydra_train_trains_our_model(tiny_data: Path, tmp_path: Path) -> None:
    config = HYDRA_CONFIG.format(plugin=PLUGIN, data=tiny_data / "wikitext2", folder=tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "lm.yaml").write_text(config)
    output = _run(tmp_path, "fairseq-hydra-train", "--config-dir", str(tmp_path / "conf"), "--config-name", "lm")
    log = output + "".join(path.read_text() for path in tmp_path.glob("**/hydra_train.log"))
    assert "done training" in log
    assert (tmp_path / "out" / "checkpoint_last.pt").is_file()
