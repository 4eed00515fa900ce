"""The batch script of an array: one command a task, requeued for as long as it ends with exit code 75, or by a warning
(USR1, USR2, TERM) that met python before it could take signals."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.launch.exit_codes import REQUEUE

# Keys of conf/hydra/launcher/slurm.yaml as options of sbatch.
OPTIONS = {
    "partition": "--partition={}", "account": "--account={}", "constraint": "--constraint={}", "qos": "--qos={}",
    "timeout_min": "--time={}", "signal_delay_s": "--signal=USR1@{}", "nodes": "--nodes={}",
    "tasks_per_node": "--ntasks-per-node={}", "cpus_per_task": "--cpus-per-task={}",
    "gpus_per_node": "--gpus-per-node={}", "mem_gb": "--mem={}G", "comment": "--comment={}", "exclude": "--exclude={}",
    "gres": "--gres={}", "cpus_per_gpu": "--cpus-per-gpu={}", "gpus_per_task": "--gpus-per-task={}",
    "mem_per_gpu": "--mem-per-gpu={}", "mem_per_cpu": "--mem-per-cpu={}",
}  # fmt: skip
SCRIPT = """\
#!/bin/bash
{options}
# what exit code {requeue} and the trap are for: docs/clusters.md
trap : TERM
{setup}
case $SLURM_ARRAY_TASK_ID in
{commands}
esac
srun "$@"
code=$?
# a job that SLURM is ending (scancel, preemption) is not RUNNING, and comes back by itself or must not
case $code in {requeue}|138|140|143)
  [ "$(squeue -h -j $SLURM_JOB_ID -o %T)" = RUNNING ] && scontrol requeue $SLURM_JOB_ID;;
esac
exit $code
"""


def batch_script(
    name: str, commands: Sequence[Sequence[str]], settings: Mapping[str, Any], logs: str, after: Sequence[str] = ()
) -> str:
    """The script, with sbatch's options in it.

    Args:
        name: what ``squeue`` shows.
        commands: of the tasks 0, 1, ...
        settings: with the keys of ``conf/hydra/launcher/slurm.yaml``; null leaves an option to the site.
        logs: the folder for ``<array>_<task>.log``.
        after: jobs that have to succeed first; where one does not, these are canceled.
    """
    options = [
        f"--job-name={name}",
        f"--output={logs}/%A_%a.log",
        "--open-mode=append",
        "--requeue",
        f"--array=0-{len(commands) - 1}%{settings.get('array_parallelism') or len(commands)}",
        *sbatch_options(settings),
    ]
    if after:
        options += [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
    return SCRIPT.format(
        options="\n".join(f"#SBATCH {shlex.quote(option)}" for option in options),
        requeue=REQUEUE,
        setup="\n".join(settings.get("setup") or ()),
        commands="\n".join(f"{place}) set -- {shlex.join(words)} ;;" for place, words in enumerate(commands)),
    )


def sbatch_options(settings: Mapping[str, Any]) -> list[str]:
    """The options that the settings stand for; any other option of sbatch's is in ``additional_parameters``."""
    given = [text.format(settings[key]) for key, text in OPTIONS.items() if settings.get(key) is not None]
    for key, value in (settings.get("additional_parameters") or {}).items():
        if value is not None and value is not False:
            given.append(f"--{key.replace('_', '-')}" + ("" if value is True else f"={value}"))
    return given
