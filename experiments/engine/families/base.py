"""What the engine asks of an experiment family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from experiments.engine import checkpoints
from experiments.engine.distributed import DistributedContext
from lrpe.encodings.parts.permutation import Permutation

REGISTERED: dict[str, type[Family]] = {}
PROBE_WORDS = 64  # a probe's vocabulary: its output layer is not what is probed


@dataclass(frozen=True)
class Counting:
    """What a run counts as it goes, and what its history says beside the loss.

    Attributes:
        unit: what an update consists of: ``tokens``, ``sentences`` or ``images``.
        per_update: how many of them an update has (an epoch's last update may have fewer).
        speed_unit: what the speed is of; fairseq measures in what a batch's ``ntokens`` counts.
        perplexity: whether exp(loss) means something.
        metrics: further statistics of the criterion, by name.
        tokens: tokens or patches that the model sees in an update, where the unit is another.
    """

    unit: str
    per_update: int
    speed_unit: str = "tokens"
    perplexity: bool = True
    metrics: tuple[str, ...] = ()
    tokens: int | None = None

    @property
    def speed_units(self) -> int:
        """How many of what the speed counts an update has."""
        return self.per_update if self.unit == self.speed_unit else self.tokens or self.per_update


@dataclass(frozen=True)
class Probe:
    """What the costs of a run are counted from, without its data.

    Attributes:
        model: the layers, with :data:`PROBE_WORDS` words; its features are ``model.features(inputs)``, or
            ``model(inputs)``.
        inputs: one sample of the largest size.
        tokens: of that sample: words, or patches.
        mean_tokens: of a sample on average; None: all have the same size.
        words: rows of the table of embeddings; 0: there is none.
        tables: how many such tables the model has.
        tied: the table is the output layer's weight too.
        classes: columns of the logits.
        scored: rows of logits for each token.
        output_weights: of the output layer that one token meets, on average.
        input_weights: of the layer before the blocks that one token meets.
    """

    model: nn.Module
    inputs: Tensor
    tokens: int
    words: int
    classes: int
    scored: float
    output_weights: float
    tables: int = 1
    tied: bool = False
    input_weights: int = 0
    mean_tokens: float | None = None


class Family(ABC):
    """One family of experiments on fairseq: how its config becomes fairseq's, and how its result is measured.

    A family is one module or package in ``experiments/engine/families/``; importing it registers its parts with
    fairseq, and its class in :data:`REGISTERED`.
    """

    name: ClassVar[str]
    fairseq_task: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("valid", "test")  # what a finished run is scored on
    # fairseq's statistic that chooses the best checkpoint, and whether more of it is better.
    best_metric: ClassVar[str] = "loss"
    maximize: ClassVar[bool] = False
    samples_on_cpu: ClassVar[int] = 8  # in a pass, where engine.samples_per_device=auto

    def __init_subclass__(cls) -> None:
        REGISTERED[cls.name] = cls

    @abstractmethod
    def task(self, config: DictConfig) -> dict[str, Any]:
        """fairseq's ``task`` section, ``_name`` included."""

    @abstractmethod
    def model(self, config: DictConfig) -> dict[str, Any]:
        """fairseq's ``model`` section, ``_name`` included."""

    @abstractmethod
    def criterion(self, config: DictConfig) -> dict[str, Any]:
        """fairseq's ``criterion`` section, ``_name`` included."""

    @abstractmethod
    def build(self, config: DictConfig) -> nn.Module:
        """The library's model of this config, on torch's current default device: what will be trained."""

    def probe(self, config: DictConfig) -> Probe | None:
        """What costs are counted from; None where the vocabulary is not known before the data is prepared."""
        return None

    @abstractmethod
    def counting(self, config: DictConfig) -> Counting:
        """What this run counts."""

    @abstractmethod
    def score(
        self, path: Path, split: str, *, data: Path | None = None, samples: int | None = None, cuda: bool = False
    ) -> dict[str, float]:
        """The metrics of a checkpoint on a split.

        Args:
            path: the checkpoint.
            split: of the prepared data.
            data: another prepared folder than the checkpoint's.
            samples: sequences or images at once; None: as many as in training.
            cuda: on the GPU.

        Raises:
            UserError: unreadable checkpoint or data, an unknown split.
        """

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """The metrics of the best checkpoint in a run's folder, for its record: ``<split>_<metric>``."""
        metrics: dict[str, float] = {}
        for split in self.splits:
            path, data = folder / "checkpoints" / checkpoints.BEST, Path(config.data.folder).resolve()
            found = self.score(path, split, data=data, cuda=place.cuda)
            metrics |= {f"{split}_{name}": value for name, value in found.items() if name != "tokens"}
        return metrics

    def updates(self, config: DictConfig) -> int:
        """Updates of the whole run."""
        return int(config.recipe.max_update)

    def warmup_updates(self, config: DictConfig) -> int:
        """Updates before the learning rate's peak."""
        return int(config.recipe.warmup_updates)

    def validation_interval(self, config: DictConfig) -> int:
        """Updates between two validations, each of which writes a checkpoint."""
        return int(config.recipe.validate_interval_updates)

    def selection(self, config: DictConfig) -> tuple[str, bool]:
        """(fairseq's statistic that chooses the best checkpoint, whether more of it is better)."""
        return self.best_metric, self.maximize

    @abstractmethod
    def trial_batch(self, config: DictConfig, fairseq_task: Any, samples: int) -> dict[str, Any]:
        """A batch of ``samples`` of the largest size, as the task's loader would make it, on the CPU: what memory a
        pass needs is tried with it."""

    def numbers_per_parameter(self, config: DictConfig) -> int:
        """How many float32 numbers a checkpoint holds for each parameter: the weight and Adam's two moments."""
        return 3

    def sections(self, config: DictConfig) -> dict[str, Mapping[str, Any]]:
        """Keys of other sections of fairseq's config that the family needs its own way."""
        return {}

    def requirements(self, config: DictConfig) -> list[DictConfig]:
        """Validated configs of the runs that have to be finished before this one starts."""
        return []

    def describe(self, config: DictConfig) -> dict[str, Any]:
        """What the record and the manifest say beside what they say of every run.

        Where the config alone determines the permutation of an encoding, that is its order: positions so far apart
        are the same to it.
        """
        options = config.encoding.options
        if options.get("permutation") != "fixed" and options.get("seed") is None:
            return {}
        with torch.device("meta"):
            model = self.build(config)
        order = next((module.order for module in model.modules() if isinstance(module, Permutation)), None)
        if order is None:
            return {}
        return {"permutation": {"order": order, "permuted alike": f"positions {order:,} apart"}}

    def brought_by_encoding(self, parameter: str) -> bool:
        """Whether a parameter of :meth:`build` belongs to the encoding of positions."""
        return ".encoding." in parameter or parameter.startswith("absolute")
