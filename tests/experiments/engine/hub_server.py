"""A server on loopback that speaks as much of the Hugging Face hub's protocol as an upload needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.loopback import serving

TOKEN = "hf_standin"


class HubServer:
    """``files`` holds what was committed, by repository and name; ``made`` the repositories and whether they are
    private. Who comes without :data:`TOKEN` is refused."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.made: dict[str, bool] = {}
        self.commits = 0
        self._objects: dict[str, bytes] = {}
        self.address = ""

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serve, and give the address for ``HF_ENDPOINT``."""
        with serving(type("Handler", (_Handler,), {"state": self})) as self.address:
            yield self.address

    @contextmanager
    def asked_by_the_client(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """Serve, and have ``huggingface_hub`` come here with :data:`TOKEN`; gives the address."""
        from huggingface_hub import constants

        with self.listening() as address:
            monkeypatch.setattr(constants, "ENDPOINT", address)
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
            monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
            monkeypatch.setenv("HF_TOKEN", TOKEN)
            yield address

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.made:
                return 409, {"error": "You already created this model repo", "url": f"{self.address}/{name}"}
            self.made[name] = asked.get("visibility") == "private" or asked.get("private", False)
            return 200, {"url": f"{self.address}/{name}"}
        if path == "/api/validate-yaml":  # of a card's metadata
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/api/models/") and "/preupload/" in path:
            asked = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": _mode(f["path"]), "shouldIgnore": False} for f in asked]
            return 200, {"files": modes}
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = [
                {**item, "actions": {"upload": {"href": f"{self.address}/stored/{item['oid']}"}}} for item in objects
            ]
            return 200, {"transfer": "basic", "objects": upload}
        if path.startswith("/stored/"):
            self._objects[path.rpartition("/")[2]] = body
            return 200, {}
        if path.startswith("/api/models/") and "/commit/" in path:
            name = path.removeprefix("/api/models/").partition("/commit/")[0]
            self._commit(name, body)
            return 200, {"commitUrl": f"{self.address}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40}
        return 404, {"error": f"no {path}"}

    def _commit(self, repository: str, body: bytes) -> None:
        self.commits += 1
        held = self.files.setdefault(repository, {})
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                held[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                held[value["path"]] = self._objects[value["oid"]]


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"


class _Handler(BaseHTTPRequestHandler):
    state: HubServer

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}" or path.startswith("/stored/")
        code, answer = self.state.answer(path, body) if known else (401, {"error": "Invalid credentials"})
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _reply

    def log_message(self, *_: object) -> None:
        pass
