"""A byte-level BPE of a corpus' own, where GPT-2's is not to be had or not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from data_prep.core.errors import DataError
from data_prep.text.bpe import BYTES, BytePairEncoder

MIN_COUNT = 2
MAX_INT = 1 << 20


def train_encoder(blocks: Iterable[Sequence[str]], size: int, label: str) -> BytePairEncoder:
    """Merge the most frequent pair of pieces until there are ``size`` pieces (Sennrich et al. 2016), bytes first.

    Deterministic: equal counts are settled by the pieces' numbers. The memory holds the different words of the text,
    not the text.

    Args:
        blocks: lines, some thousands at a time.
        size: pieces, the 256 bytes among them.
        label: what to call the text in a message.

    Raises:
        DataError: the size is out of reach, or the text is too small for it.
    """
    if not BYTES < size <= MAX_INT:
        raise DataError(f"--train-bpe {size}: expected more than the {BYTES} bytes and at most {MAX_INT:,}")
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=size,
        min_frequency=MIN_COUNT,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(([line.strip() for line in block] for block in blocks), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if len(model["vocab"]) < size:
        raise DataError(
            f"{label} gives {len(model['vocab']):,} pieces that occur {MIN_COUNT} times or more, and --train-bpe asks "
            f"for {size:,}: choose {len(model['vocab'])} or less"
        )
    return BytePairEncoder(model["vocab"], [(left, right) for left, right in model["merges"]], kind="trained")
