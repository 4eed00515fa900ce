"""Continue a prompt with a trained language model; tokens stream as they are drawn.

    python -m experiments.generate run=results/runs/alm/rope-1a2b3c4d/seed1 prompt="the module defines" tokens=60

Keys:
    run          a run's folder: its best checkpoint is used; or a folder of experiments.export,
                 which brings its own words
    checkpoint   or any checkpoint file
    prompt       the text to continue                                            [empty: the start of a line]
    tokens       how many tokens to draw                                         [50]
    temperature  0 takes the most likely token                                   [0.8]
    top_k        draw among the k most likely                                    [50]
    seed         of the draws                                                    [1]
    unknown      true lets <unk> be drawn                                        [false]
    data         another folder of prepared data                                 [the checkpoint's]
    device       auto, cpu or cuda                                               [auto]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.text.tokens import TextStream, load_tokens
from experiments.config.schema import SCHEMAS
from experiments.runs.checkpoint import checkpoint_path
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error


@dataclass
class Arguments:
    run: str | None = None
    checkpoint: str | None = None
    prompt: str = ""
    tokens: int = 50
    temperature: float = 0.8
    top_k: int = 50
    seed: int = 1
    unknown: bool = False
    data: str | None = None
    device: str = "auto"


def main() -> None:
    arguments = parse(Arguments, sys.argv[1:], __doc__ or "")
    if arguments.tokens < 1 or arguments.temperature < 0 or arguments.top_k < 1:
        raise UserError("tokens and top_k are at least 1, temperature at least 0")
    path = checkpoint_path(arguments.run, arguments.checkpoint)
    import torch

    from experiments.engine import checkpoints
    from experiments.engine.distributed import find_context
    from experiments.engine.families import family_of_checkpoint
    from experiments.engine.loading import load

    checkpoints.install()
    if not SCHEMAS[(family := family_of_checkpoint(path)).name].causal:
        causal = " or ".join(name for name, schema in SCHEMAS.items() if schema.causal)
        raise UserError(f"{path}: experiment={family.name} does not continue a text; give a run of experiment={causal}")
    data = Path(arguments.data) if arguments.data else None
    model, config, task = load(path, data, prepared=data is not None or not path.is_dir())
    device = "cuda" if find_context(arguments.device).cuda else "cpu"
    dictionary = task.source_dictionary
    words, show = _codec(Path(config.task.data))
    prompt = words(arguments.prompt)
    unknown = [word for word in prompt if dictionary.index(word) == dictionary.unk()]
    if unknown:
        print(f"note: the model does not know {', '.join(sorted(set(unknown)))}", file=sys.stderr)
    ids = [dictionary.eos(), *(dictionary.index(word) for word in prompt)]  # a line starts after the end of another
    forbidden = (dictionary.pad(), dictionary.bos(), *(() if arguments.unknown else (dictionary.unk(),)))
    drawn = model.to(device).decoder.model.generate(
        torch.tensor([ids], device=device),
        arguments.tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        forbidden=forbidden,
        generator=torch.Generator(device).manual_seed(arguments.seed),
    )
    print(arguments.prompt, end="", flush=True)
    started, stream = time.perf_counter(), TextStream(show)
    for token in drawn:
        index = int(token)
        print(
            f"{stream.flush()}\n" if index == dictionary.eos() else stream.push(dictionary[index]), end="", flush=True
        )
    seconds = time.perf_counter() - started
    print(stream.flush(), end="")
    print(f"\n{arguments.tokens} tokens, {arguments.tokens / seconds:,.0f} tokens/s", file=sys.stderr)


def _codec(data: Path) -> tuple[Callable[[str], list[str]], Callable[..., str]]:
    """(text to the words of the data set's dictionary, one such word to text)."""
    try:
        tokens = load_tokens(data)
    except DataError as error:
        raise UserError(str(error)) from error
    return lambda text: tokens.tokenize([text])[0], tokens.text_of


if __name__ == "__main__":
    exit_on_user_error(main)
