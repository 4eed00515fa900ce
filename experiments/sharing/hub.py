"""Folders to the Hugging Face hub, or to another that speaks as it does (HF_ENDPOINT)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.util.errors import UserError

LOGIN = "log in with  hf auth login  or set HF_TOKEN to a token that may write"


def check_target(repository: str) -> None:
    """Whether something could be pushed there, before any work.

    Raises:
        UserError: it is no ORG/NAME, nobody is logged in, or HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
        named = repository.count("/") == 1
    except HFValidationError:
        named = False
    if not named:
        raise UserError(f"push={repository}: expected ORG/NAME, of letters, digits, '-', '_' and '.'")
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"push={repository}: HF_HUB_OFFLINE is set, so no hub is contacted; unset it")
    if get_token() is None:
        raise UserError(f"push={repository}: nobody is logged in at {constants.ENDPOINT}; {LOGIN}")


def push(folder: Path, files: Sequence[str], repository: str, *, private: bool) -> str:
    """Upload ``files`` of a folder in one commit, and return the repository's address.

    Raises:
        UserError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(repository, api.endpoint):
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=list(files), commit_message="Model and its card"
        )
    return str(address)


@contextmanager
def _explained(repository: str, endpoint: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else None
        reason = (error.server_message or str(error)).splitlines()[0]
        remedy = f"; {LOGIN}" if code in (401, 403) else ""
        raise UserError(f"push={repository}: {endpoint} refuses ({code}): {reason}{remedy}") from None
    except Exception as error:  # of the HTTP client, which is another one in other versions of huggingface_hub
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "requests", "urllib3"):
            raise
        raise UserError(f"push={repository}: {endpoint} cannot be reached: {error}; the folder is written") from None
