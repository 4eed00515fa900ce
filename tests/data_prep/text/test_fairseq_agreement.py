"""What is prepared here equals what fairseq-preprocess makes of the same text, and fairseq's tasks read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq import options
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from fairseq_cli import preprocess

from data_prep.api import prepare
from tests.data_prep.support import prepared_bytes, random_text, write_source

AWKWARD = (
    " = Title = \n \n\n<unk> </s> <s> <pad> a a\tb\u00a0c\u2003d \u2028 e\x85f\x1cg\n"
    "madeupword0000 madeupword0001 a\nÉté été 日本 \U0001f600\n  \nA a B b ! ! # \n"
)


def fairseq_preprocess(source: Path, destination: Path, suffix: str = "tokens", *more: str) -> dict[str, bytes]:
    """The files that fairseq's own command writes; its log left out."""
    arguments = ["--only-source", "--workers", "1", "--destdir", str(destination), *more]
    for split in ("train", "valid", "test"):
        arguments += [f"--{split}pref", str(source / f"wiki.{split}.{suffix}")]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    for handler in list(preprocess.logger.handlers):
        preprocess.logger.removeHandler(handler)
        handler.close()
    (destination / "preprocess.log").unlink()
    return prepared_bytes(destination)


@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
def test_same_files_as_fairseq_preprocess(tmp_path: Path, ending: str) -> None:
    train = AWKWARD + random_text(200) + "last line" + ending
    source = write_source(tmp_path / "source", train=train, valid=random_text(40, 1) + "never seen\n", test="\n\na\n")
    ours = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    assert prepared_bytes(ours) == fairseq_preprocess(source, tmp_path / "theirs")


def test_same_files_as_fairseq_preprocess_on_real_text(tmp_path: Path, shared_data: Path) -> None:
    real = shared_data / "wikitext-2"
    valid, test = ((real / f"wiki.{split}.tokens").read_bytes() for split in ("valid", "test"))
    source = write_source(tmp_path / "source", train=valid, valid=test, test=test)
    ours = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    assert prepared_bytes(ours) == fairseq_preprocess(source, tmp_path / "theirs")


def test_fairseqs_language_modeling_task_loads_it(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", train=random_text(100), valid="w1 w2 never\n\nw3\n")
    folder = prepare("wikitext2", tmp_path / "out", source, allow_other_counts=True)
    config = LanguageModelingConfig(data=str(folder), tokens_per_sample=4, dataset_impl="mmap", use_plasma_view=False)
    task = LanguageModelingTask.setup_task(config)
    task.load_dataset("valid")
    samples = [task.dataset("valid")[index]["target"] for index in range(len(task.dataset("valid")))]
    text = " ".join(task.dictionary.string(sample, include_eos=True) for sample in samples)
    assert text == "w1 w2 <unk> </s> </s> w3 </s>"
    assert len(task.dictionary) % 8 == 0
