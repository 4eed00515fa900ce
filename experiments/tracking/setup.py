"""Starting wandb so that it asks nothing and prints nothing, in limited time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from experiments.util.errors import UserError, nearest
from experiments.util.secrets import mask_config

_FROM_ENVIRONMENT = {
    "online": "wandb", "run": "wandb", "shared": "wandb", "offline": "offline", "dryrun": "offline",
    "disabled": "disabled",
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """How many seconds wandb is waited for: to start a run or take a row, and to send the rest at the end."""

    start: float = 30.0
    finish: float = 30.0

    @classmethod
    def from_environment(cls) -> Self:
        """What ``WANDB_INIT_TIMEOUT`` and ``WANDB_FINISH_TIMEOUT`` say.

        Raises:
            UserError: one is no number of seconds above 0.
        """
        return cls(_seconds("WANDB_INIT_TIMEOUT", cls.start), _seconds("WANDB_FINISH_TIMEOUT", cls.finish))


def _seconds(name: str, default: float) -> float:
    word = os.environ.get(name) or str(default)
    with suppress(ValueError):
        if 0 < float(word) < math.inf:
            return float(word)
    raise UserError(f"{name}={word}: expected a number of seconds above 0, e.g. {default:g}")


def mode_from_environment() -> str | None:
    """The mode that ``WANDB_MODE`` asks for, under our names.

    Raises:
        UserError: the variable holds another word.
    """
    word = os.environ.get("WANDB_MODE")
    if not word:
        return None
    if word not in _FROM_ENVIRONMENT:
        raise UserError(f"WANDB_MODE={word}: expected online, offline or disabled{nearest(word, _FROM_ENVIRONMENT)}")
    return _FROM_ENVIRONMENT[word]


def check_settings(wandb: ModuleType) -> None:
    """Refuse what wandb cannot use.

    Raises:
        UserError: an environment variable or a settings file of wandb has a value that it refuses.
    """
    from pydantic import ValidationError

    try:
        wandb.setup()
    except wandb.errors.UsageError as error:
        raise UserError(f"wandb refuses its settings: {error}; correct the WANDB_* variables") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]  # what was given may be a secret
        raise UserError(f"WANDB_{str(first['loc'][0]).upper()}: {first['msg']}; correct or unset it") from None


def has_credentials(wandb: ModuleType) -> bool:
    """Whether wandb would log in without asking; the network is not used."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk.lib import wbauth

    settings = wandb.setup().settings
    try:
        return bool(settings.api_key or wbauth.read_netrc_auth(host=settings.base_url))
    except wandb.errors.Error:
        return False


def init_run(
    wandb: ModuleType,
    folder: Path,
    config: Mapping[str, Any],
    record: Mapping[str, Any],
    run_id: str,
    limits: Limits,
    online: bool,
) -> Any:
    """``wandb.init`` with everything explicit: name, group, tags, job type, the whole config without secrets."""
    run, tracker = record["run"], config.get("tracker") or {}
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=limits.start,
        finish_timeout=limits.finish,
        finish_timeout_raises=True,
        # The manifest records all this, and without the secrets that a command line may hold.
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
        disable_git=True,
        disable_code=True,
        symlink=False,
        use_dot_wandb=False,
    )
    tags = (run["experiment"], run["encoding"], run["protocol"], run["profile"], (config.get("data") or {}).get("name"))
    return wandb.init(
        project=tracker.get("project") or "lrpe",
        entity=tracker.get("entity"),
        dir=str(folder),
        id=run_id,
        name=run["name"],
        group=f"{run['experiment']}/{run['encoding']}",
        tags=[str(tag)[:64] for tag in dict.fromkeys(tags) if tag],
        job_type="train",
        config=mask_config(config),
        mode="online" if online else "offline",
        resume="allow" if online else None,
        reinit="finish_previous",
        settings=settings,
    )
