"""The files equal fairseq-preprocess's, and fairseq's sentence_prediction task reads them as RoBERTa's recipe does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fairseq import options
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask
from fairseq_cli import preprocess

from data_prep.api import TASKS, prepare
from data_prep.text.bpe import load_encoder
from tests.data_prep.support import write_source

from .support import SENTENCES, all_bytes, examples, prepare_small, write_task

BOS, EOS = 0, 2


def fairseq_preprocess(texts: Path, dictionary: Path, destination: Path) -> dict[str, bytes]:
    """What fairseq's own command makes of ``texts/{train,valid,test}``; its log left out."""
    arguments = ["--only-source", "--workers", "1", "--destdir", str(destination), "--srcdict", str(dictionary)]
    for split in ("train", "valid", "test"):
        if (texts / split).exists():
            arguments += [f"--{split}pref", str(texts / split)]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    for handler in list(preprocess.logger.handlers):
        preprocess.logger.removeHandler(handler)
        handler.close()
    return {path.name: path.read_bytes() for path in destination.iterdir() if path.suffix in (".bin", ".idx")}


def load(folder: Path, name: str) -> SentencePredictionTask:
    task = TASKS[name]
    config = SentencePredictionConfig(
        data=str(folder),
        num_classes=max(len(task.labels), 1),
        init_token=BOS,
        separator_token=EOS,
        no_shuffle=True,
        regression_target=task.regression,
        classification_head_name="task",
        seed=1,
    )
    return SentencePredictionTask.setup_task(config)


def test_same_files_as_fairseq_preprocess(tmp_path: Path, tokens: Path) -> None:
    write_task(tmp_path / "glue", "mnli", rows=12)
    folder = prepare_small(tmp_path, "mnli", tokens)
    made = examples("mnli", 12)
    columns = {
        "input0": [sentences[0] for sentences, _ in made],
        "input1": [sentences[1] for sentences, _ in made],
        "label": [label for _, label in made],
    }
    for part, lines in columns.items():
        texts = tmp_path / "texts" / part
        texts.mkdir(parents=True)
        for split in ("train", "valid") if part == "label" else ("train", "valid", "test"):
            (texts / split).write_text("".join(f"{line}\n" for line in lines))
        theirs = fairseq_preprocess(texts, folder / part / "dict.txt", tmp_path / "theirs" / part)
        ours = all_bytes(folder / part)
        assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize("name", [name for name in TASKS if not TASKS[name].embedded])
def test_fairseqs_task_reads_every_split(tmp_path: Path, tokens: Path, name: str) -> None:
    facts = TASKS[name]
    write_task(tmp_path / "glue", name)
    task = load(prepare_small(tmp_path, name, tokens), name)
    for split in facts.splits:
        dataset = task.load_dataset(split)
        batch = dataset.collater([dataset[at] for at in range(3)])
        for line, (sentences, _) in zip(batch["net_input"]["src_tokens"], examples(name, 6), strict=False):
            words = [task.dictionary[int(number)] for number in line]
            assert " ".join(words).replace(" <pad>", "") == "<s> " + " </s> </s> ".join(sentences) + " </s>"
        if not facts.splits[split].labeled:
            assert "target" not in batch
        elif facts.regression:
            assert batch["target"].flatten().tolist() == pytest.approx([0.0, 3.571, 5.0])
        else:
            assert batch["target"].flatten().tolist() == [at % len(facts.labels) for at in range(3)]


def test_pieces_of_a_sentence_are_those_of_the_corpus(tmp_path: Path, pydoc_bpe: Path) -> None:
    text = "The zip file's 'naïve' reader returns bytes."
    write_task(tmp_path / "glue", "cola", test=f"index\tsentence\n0\t{text}\n")
    folder = prepare_small(tmp_path, "cola", pydoc_bpe)
    task = load(folder, "cola")
    sample = task.load_dataset("test")[0]["net_input.src_tokens"]
    encoder = load_encoder(pydoc_bpe)
    pieces = [task.dictionary[int(number)] for number in sample]
    assert (pieces[0], pieces[-1], pieces.count("<unk>")) == ("<s>", "</s>", 0)
    plain = "the zip file's ' naïve ' reader returns bytes ."
    assert pieces[1:-1] == encoder([plain])[0]
    assert task.dictionary.index("<mask>") == len(task.dictionary) - 1  # appended, as in pretraining


def test_the_task_and_its_pretraining_number_words_alike(pydoc_order: Path, pydoc_bpe: Path) -> None:
    from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask

    config = MaskedLMConfig(data=str(pydoc_bpe), sample_break_mode="complete", tokens_per_sample=128, seed=1)
    pretraining = MaskedLMTask.setup_task(config)
    pretraining.load_dataset("valid")
    sample = pretraining.dataset("valid")[0]["net_input.src_tokens"]
    assert int(sample[0]) == BOS
    assert len(sample) <= 128
    fine_tuning = load(pydoc_order, "pydoc_order")
    assert fine_tuning.dictionary.symbols == pretraining.dictionary.symbols


def test_classes_of_an_embedded_task_are_balanced_in_every_split(pydoc_order: Path) -> None:
    task = load(pydoc_order, "pydoc_order")
    for split in ("train", "valid", "test"):
        dataset = task.load_dataset(split)
        targets = torch.cat([dataset[at]["target"] for at in range(len(dataset))])
        assert targets.unique().tolist() == [0, 1]
        assert targets.double().mean() == 0.5


def test_gpt2s_pieces_are_robertas(tmp_path: Path, shared_data: Path) -> None:
    """GLUE under RoBERTa's own dictionary: what fairseq's recipe writes for the same sentence."""
    source = write_source(tmp_path / "raw", suffix="raw", train="Hello world\n", valid="a\n", test="a\n")
    bpe = shared_data / "gpt2_bpe"
    corpus = prepare("wikitext103_bpe", tmp_path, source, bpe=bpe, allow_other_counts=True)
    write_task(tmp_path / "glue", "rte", test=f"index\tsentence1\tsentence2\n0\tHello world\t{SENTENCES[0]}\n")
    task = load(prepare_small(tmp_path, "rte", corpus), "rte")
    sample = task.load_dataset("test")[0]["net_input.src_tokens"]
    assert len(task.dictionary) == 50_265  # RoBERTa's, <mask> included
    # As fairseq's roberta.base encodes the pair: <s> Hello world </s> </s> the cat sat </s>
    assert sample[:6].tolist() == [0, 31414, 232, 2, 2, 627]
