"""What is to be known of a sentence task: its files, labels, metrics, and how its predictions are handed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

SCORES = (0.0, 5.0)  # the range of STS-B's similarity


@dataclass(frozen=True)
class Split:
    """One split of a task.

    Attributes:
        file: path below the folder that holds GLUE's own folders; of an embedded task, where its text is written.
        hub: split of the hub's data set.
        rows: the official count; more than one where copies of the official data differ. Empty if none is published.
        columns: of a file that has no header.
        labeled: whether labels are published.
        submission: file name that GLUE's server expects the predictions in, of its test splits.
        configuration: of the hub's data set, where it is not the task's own.
        optional: left out where a local folder does not have it.
    """

    file: str
    hub: str = ""
    rows: tuple[int, ...] = ()
    columns: tuple[str, ...] | None = None
    labeled: bool = True
    submission: str | None = None
    configuration: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Task:
    """A sentence task.

    Attributes:
        name: ``cola``; also the hub's configuration.
        folder: GLUE's folder, ``CoLA``.
        labels: classes in the order of their numbers, as GLUE's files write them; empty for regression.
        metrics: names among ``matthews``, ``accuracy``, ``f1``, ``pearson``, ``spearman``, as GLUE defines them; the
            task's score is their mean.
        sentences: columns of GLUE's files, one or two.
        label: column of GLUE's files.
        hub_sentences: columns of the hub's data set, where they differ from GLUE's.
        splits: ``train``, ``valid`` and the test splits.
        irregular: GLUE's own file has empty sentences, which are kept, and broken lines, which are counted and left
            out; of a split that is handed in, broken lines are refused.
        embedded: made from the embedded text, with test labels; others are GLUE's.
    """

    name: str
    folder: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    sentences: tuple[str, ...]
    label: str
    splits: Mapping[str, Split] = field(hash=False)
    hub_sentences: tuple[str, ...] = ()
    irregular: bool = False
    embedded: bool = False

    @property
    def pair(self) -> bool:
        """Whether an example is two sentences."""
        return len(self.sentences) == 2

    @property
    def regression(self) -> bool:
        """Whether the label is a score rather than a class."""
        return not self.labels

    @property
    def test_splits(self) -> tuple[str, ...]:
        """All splits but train and the validation ones."""
        return tuple(split for split in self.splits if split.startswith("test"))

    @property
    def submissions(self) -> dict[str, str]:
        """File name that GLUE's server expects, of each test split that it scores."""
        return {split: facts.submission for split, facts in self.splits.items() if facts.submission}

    def written(self, prediction: float) -> str:
        """A prediction as GLUE's server reads it.

        Args:
            prediction: number of a class, or a score.

        Returns:
            The class as GLUE's files write it (0 and 1, or its name); a score clipped to [0, 5], with three decimals.

        Raises:
            ValueError: no such class, or the score is not a number.
        """
        if self.regression:
            if math.isnan(prediction):
                raise ValueError(f"{self.name}: the prediction is not a number")
            return f"{min(max(prediction, SCORES[0]), SCORES[1]):.3f}"
        if prediction not in range(len(self.labels)):
            raise ValueError(f"{self.name}: no class {prediction}; there are {len(self.labels)}, numbered from 0")
        return self.labels[int(prediction)]
