"""Names of wandb's projects and entities, refused before a run starts if wandb would refuse them."""

from __future__ import annotations

import os

from experiments.util.errors import UserError

FORBIDDEN = "/\\#?%:"
LONGEST = 128


def check_name(key: str, name: str | None) -> None:
    """Refuse a name that wandb refuses.

    Args:
        key: where the name stands, for the message.
        name: of a project or an entity; None: wandb's own choice.

    Raises:
        UserError: the name is too long or has a character of :data:`FORBIDDEN`.
    """
    if name is None:
        return
    if not name.strip() or len(name) > LONGEST:
        raise UserError(f"{key}={name[:40]}: expected a name of 1 to {LONGEST} characters")
    found = [character for character in name if character in FORBIDDEN or not character.isprintable()]
    if not found:
        return
    own = key.rpartition(".")[2].lower().removeprefix("wandb_")
    entity, slash, project = name.partition("/")
    if own == "project" and slash and project and entity and not set(FORBIDDEN) & set(entity + project):
        other = "WANDB_ENTITY" if key.isupper() else "tracker.entity"
        hint = f"a team is an entity: {key}={project} {other}={entity}"
    else:
        clean = "-".join("".join(" " if character in found else character for character in name).split()) or "lrpe"
        hint = f"give e.g. {key}={clean}"
    raise UserError(f"{key}={name}: wandb allows no {' '.join(dict.fromkeys(map(repr, found)))} in it; {hint}")


def check_environment() -> None:
    """:func:`check_name` of ``WANDB_PROJECT`` and ``WANDB_ENTITY``."""
    for variable in ("WANDB_PROJECT", "WANDB_ENTITY"):
        check_name(variable, os.environ.get(variable) or None)
