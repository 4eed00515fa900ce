"""``auto`` of ``engine.samples_per_device`` and ``engine.compile``: what suits the device of this run.

How many samples a pass of a card takes is found by trying.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fairseq import optim, tasks, utils
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments.config import identity
from experiments.config.effect import pass_matters
from experiments.engine import optimizer  # noqa: F401 - registers itself
from experiments.engine.distributed import DistributedContext, attention_backend
from experiments.engine.families import family_of
from experiments.engine.tf32 import matrix_products
from experiments.engine.translate import AUTO, fairseq_config
from experiments.util.cards import USABLE
from experiments.util.errors import UserError
from experiments.util.files import write_atomically

CACHE = "samples_per_device.json"  # below paths.results; delete it to have cards tried again
PATIENCE = 900  # seconds that other ranks wait for what the first finds


def settled(config: DictConfig, place: DistributedContext) -> DictConfig:
    """The config with a number of samples and a truth for every ``auto`` of ``engine``.

    ``engine.compile=auto`` compiles on a GPU, unless flash-linear-attention's kernels, which a graph would leave
    unused, compute the attention there.

    Raises:
        UserError: as :func:`with_samples`.
    """
    if config.engine.compile == AUTO:
        config = _changed(config, compile=place.cuda and attention_backend(config, place.cuda) != "fla")
    return with_samples(config, place)


def with_samples(config: DictConfig, place: DistributedContext) -> DictConfig:
    """The config with a number for ``engine.samples_per_device=auto``.

    On a GPU, the largest power of two whose pass, with an optimizer's step, fits into the card's memory; tried once for
    each card and identity, by the first rank, and then read from ``samples_per_device.json`` below ``paths.results``.
    On a CPU, and where the recipe says how many samples share a pass, the config as it is.

    Raises:
        UserError: a single sample does not fit, or the first rank never said what it found.
    """
    if config.engine.samples_per_device != AUTO or not place.cuda or pass_matters(config):
        return config
    key, cache = _key(config, place), Path(config.paths.results) / CACHE
    known = _read(cache).get(key)
    if known is None and not place.is_first:
        known = _wait(cache, key)
    elif known is None:
        known = _search(config, place)
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps(_read(cache) | {key: known}, indent=1) + "\n")
        print(f"engine.samples_per_device=auto: {known} samples a pass fit on this card ({cache})", flush=True)
    return set_samples(config, known)


def set_samples(config: DictConfig, samples: int) -> DictConfig:
    """A copy of a config with this number in ``engine.samples_per_device``."""
    return _changed(config, samples_per_device=samples)


def _changed(config: DictConfig, **engine: Any) -> DictConfig:
    changed = OmegaConf.create(OmegaConf.to_container(config))
    changed.engine.update(engine)
    OmegaConf.set_readonly(changed, True)
    OmegaConf.set_struct(changed, True)
    assert isinstance(changed, DictConfig)
    return changed


def candidates(share: int) -> list[int]:
    """The powers of two that divide a device's samples of an update, ascending."""
    return [size for size in (2**power for power in range(share.bit_length())) if share % size == 0]


def largest_that_fits(sizes: Sequence[int], run: Callable[[int], Any]) -> int | None:
    """The last of the ascending ``sizes`` that ``run`` takes without ``torch.OutOfMemoryError``, if any."""
    found = None
    for size in sizes:
        try:
            run(size)
        except torch.OutOfMemoryError:
            break
        finally:
            _release()
        found = size
    return found


def trial_step(config: DictConfig, samples: int, place: DistributedContext) -> None:
    """One pass and one update of a new model on a batch of the largest samples, as training does them."""
    fixed = set_samples(config, samples)
    whole = fairseq_config(fixed, Path("trial"), place)
    with open_dict(whole):
        whole.model.compile = False  # a graph for every size that is tried would take minutes
    task = tasks.setup_task(whole.task)
    model, criterion = task.build_model(whole.model), task.build_criterion(whole.criterion)
    batch = family_of(config).trial_batch(fixed, task, samples)
    dtype = torch.bfloat16 if whole.common.bf16 else torch.float16 if whole.common.fp16 else torch.float32
    model.to(dtype)
    if place.cuda:
        model.cuda(place.device)
        batch = utils.move_to_cuda(batch, device=torch.device("cuda", place.device))
    batch = utils.apply_to_sample(lambda x: x.to(dtype) if x.is_floating_point() else x, batch)
    step = _optimizer(whole, [weight for weight in model.parameters() if weight.requires_grad])
    with matrix_products(config.recipe.precision):
        task.train_step(batch, model, criterion, step, update_num=0)
        step.step()


def _optimizer(whole: DictConfig, weights: list[torch.nn.Parameter]) -> Any:
    if whole.common.fp16 or whole.common.bf16:
        return optim.FP16Optimizer.build_optimizer(whole, weights)
    made = optim.build_optimizer(whole.optimizer, weights)
    return optim.AMPOptimizer.build_optimizer(whole, weights) if whole.common.amp else made


def _search(config: DictConfig, place: DistributedContext) -> int:
    share = config.recipe.batch_size // place.world_size
    with _limited(place.device), torch.random.fork_rng():
        found = largest_that_fits(candidates(share), lambda size: trial_step(config, size, place))
    if found is None:
        raise UserError(
            f"engine.samples_per_device=auto: not one sample of this run fits into {USABLE:.0%} of this card's memory; "
            "give a smaller model, shorter samples or recipe.precision=bf16"
        )
    return found


@contextmanager
def _limited(device: int) -> Iterator[None]:
    torch.cuda.set_per_process_memory_fraction(USABLE, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.reset_peak_memory_stats(device)


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _key(config: DictConfig, place: DistributedContext) -> str:
    card = torch.cuda.get_device_properties(place.device)
    share = config.recipe.batch_size // place.world_size
    return f"{card.name}, {card.total_memory / 2**30:.0f} GiB | {identity(config)} | {share} samples of an update"


def _read(cache: Path) -> dict[str, int]:
    try:
        return json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _wait(cache: Path, key: str) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (known := _read(cache).get(key)) is not None:
            return known
        time.sleep(1)
    raise UserError(
        f"engine.samples_per_device=auto: the first rank has written nothing to {cache} in {PATIENCE} seconds; "
        "give a number"
    )
