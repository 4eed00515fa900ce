"""Where a task's examples come from: GLUE's own folders, the hub, or the embedded text."""

from __future__ import annotations

from data_prep.core.request import Request
from data_prep.sentence_tasks.embedded import EmbeddedExamples
from data_prep.sentence_tasks.examples import ExampleSource
from data_prep.sentence_tasks.hub import TaskHub
from data_prep.sentence_tasks.task import Task
from data_prep.sentence_tasks.tsv import TaskFiles


def open_source(task: Task, request: Request) -> ExampleSource:
    """The source that ``request`` means.

    Raises:
        DataError: it is not there, or an embedded task was asked for from elsewhere.
    """
    if task.embedded:
        request.refuse_options(task.name, "source", "revision", why="is embedded")
        return EmbeddedExamples(task)
    if request.source is not None:
        return TaskFiles(task, request.source, partial=request.allow_other_counts)
    return TaskHub(task, request.revision)
