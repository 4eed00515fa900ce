"""What a run says before it starts: the key at fault, and a finished run that is shorter; and what it prints where."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config import compose
from experiments.engine.plan import make_plan
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT, TINY, environment, run_train


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["model.adaptive_cutoffs=[20000,60000]"], "model.adaptive_cutoffs"),
        (["attention.feature_map=cosformer"], "attention.feature_map"),
        (["encoding=lrpe_unitary", "encoding.options.angle_schedule=cubic"], "encoding.options.angle_schedule"),
        (["encoding=rope", "model.embed_dim=6"], "model.embed_dim"),
    ],
)
def test_a_model_that_cannot_be_built_names_the_key_at_fault(tiny_data: Path, words: list[str], key: str) -> None:
    config = compose([*TINY, f"paths.data={tiny_data}", *words])
    with pytest.raises(UserError) as refused:
        make_plan(config, 1)
    assert f"give another {key}" in str(refused.value) or f"{key}=" in str(refused.value)
    if not key.startswith("model.embed"):
        assert "num_heads" not in str(refused.value)


def test_fp16_on_a_cpu_is_refused_and_amp_says_what_it_is(tiny_data: Path, tmp_path: Path) -> None:
    done = run_train(tiny_data, tmp_path, "recipe.precision=fp16", check=False)
    assert done.returncode == 2
    assert "recipe.precision=fp16" in done.stderr
    done = run_train(tiny_data, tmp_path, "recipe.precision=amp", "recipe.max_update=2", "recipe.warmup_updates=1")
    assert "autocast to bfloat16" in done.stdout


def test_a_longer_run_names_the_finished_one_and_goes_on_from_it(tiny_data: Path, tmp_path: Path) -> None:
    short = ["recipe.max_update=4", "recipe.warmup_updates=2"]
    long = ["recipe.max_update=8", "recipe.warmup_updates=2"]
    assert "note:" not in run_train(tiny_data, tmp_path, *short).stdout
    said = run_train(tiny_data, tmp_path, *long).stdout
    assert "is finished and differs in the recipe's length alone" in said
    commands = said.partition("then: ")[2].partition("  and the same command")[0]
    target = Path(shlex.split(commands.partition("mkdir -p ")[2].partition(";")[0])[0])
    (target.parent / "record.json").unlink()
    subprocess.run(commands, shell=True, check=True)
    assert "resuming       from update 4" in run_train(tiny_data, tmp_path, *long).stdout


def test_a_terminal_without_the_letters_gets_question_marks(tiny_data: Path, tmp_path: Path) -> None:
    code = "from experiments.util.errors import exit_on_user_error as run; run(lambda: print('T\\u014dky\\u014d'))"
    for encoding in ("latin-1", "ascii"):
        variables = {**environment(tiny_data, tmp_path), "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"T?ky?\n")
