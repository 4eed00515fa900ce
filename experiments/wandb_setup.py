"""Starting wandb so that it asks nothing and prints nothing, and knowing how it fails."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.errors import UserError, nearest
from experiments.manifest import mask_config

_FROM_ENVIRONMENT = {
    "online": "wandb", "run": "wandb", "shared": "wandb", "offline": "offline", "dryrun": "offline",
    "disabled": "disabled",
}  # fmt: skip


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
    wandb: ModuleType, folder: Path, config: Mapping[str, Any], record: Mapping[str, Any], run_id: str, online: bool
) -> Any:
    """``wandb.init`` with everything explicit: name, group, tags, job type, the whole config without secrets."""
    run, tracker = record["run"], config.get("tracker") or {}
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", "30")),
        finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", "120")),
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


def errors_of(wandb: ModuleType) -> tuple[type[BaseException], ...]:
    """What wandb raises when its server, its service process or the disk fails it."""
    kinds: list[type[BaseException]] = [wandb.errors.Error, OSError]
    try:
        from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError
        from wandb.sdk.mailbox.mailbox_handle import ServerResponseError
    except ImportError:  # private names: another version of wandb may not have them
        return tuple(kinds)
    return (*kinds, HandleAbandonedError, MailboxClosedError, ServerResponseError)


def teardown(wandb: ModuleType | None, errors: tuple[type[BaseException], ...]) -> None:
    """Let go of a service process in doubt: else a run id stays taken, and the interpreter complains at its end."""
    try:
        if wandb is not None:
            wandb.teardown()
    except errors:
        return
