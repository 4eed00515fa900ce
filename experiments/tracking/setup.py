"""What wandb is told before it starts: where, as whom, and how long it is waited for."""

from __future__ import annotations

import logging
import math
import netrc
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from urllib.parse import urlsplit

from experiments.util.errors import UserError, nearest

NO_ACCOUNT = (
    "this needs an account on wandb: run  wandb login  or set WANDB_API_KEY (for a server of your own also "
    "WANDB_BASE_URL)"
)
_FROM_ENVIRONMENT = {
    "online": "wandb", "run": "wandb", "shared": "wandb", "offline": "offline", "dryrun": "offline",
    "disabled": "disabled",
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """Seconds that wandb is waited for: to answer, and to take the rest at the end of a run."""

    start: float = 30.0
    finish: float = 30.0

    @classmethod
    def from_environment(cls) -> Self:
        """What ``WANDB_INIT_TIMEOUT`` and ``WANDB_FINISH_TIMEOUT`` say.

        Raises:
            UserError: one is not a number of seconds above 0.
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


def import_wandb() -> ModuleType:
    """wandb, which prints and asks nothing.

    Raises:
        UserError: an environment variable or a settings file of wandb has a value that it refuses.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it prints, and waits, where no server can be reached
    import wandb
    from pydantic import ValidationError
    from wandb.errors import UsageError

    own = logging.getLogger("wandb")  # it has a log of its own; what matters it raises
    own.propagate = False
    own.addHandler(logging.NullHandler())
    try:
        _ = wandb.setup().settings
    except UsageError as error:
        raise UserError(f"wandb refuses its settings: {error}; correct the WANDB_* variables") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]  # the input may be a secret
        raise UserError(f"WANDB_{str(first['loc'][0]).upper()}: {first['msg']}; correct or unset it") from None
    return wandb


def has_credentials(wandb: ModuleType) -> bool:
    """Whether wandb would log in without asking; the network is not used."""
    settings = wandb.setup().settings
    if settings.api_key or settings.identity_token_file:
        return True
    files = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for file in files:
        with suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(Path(file).expanduser()).authenticators(urlsplit(settings.base_url).netloc):
                return True
    return False


def run_settings(wandb: ModuleType, limits: Limits) -> Any:
    """wandb's settings for a run: silent, bounded, and without what the manifest records, secrets masked."""
    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=limits.start,
        finish_timeout=limits.finish,
        finish_timeout_raises=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
        disable_git=True,
        disable_code=True,
        symlink=False,
        use_dot_wandb=False,
    )


def description(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Name, group and tags of a run, as ``wandb.init`` takes them."""
    run = record["run"]
    tags = (run["experiment"], run["encoding"], run["protocol"], run["profile"], (config.get("data") or {}).get("name"))
    return {
        "name": run["name"],
        "group": f"{run['experiment']}/{run['encoding']}",
        "tags": [str(tag)[:64] for tag in dict.fromkeys(tags) if tag],
        "job_type": "train",
    }
