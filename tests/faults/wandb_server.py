"""A server on loopback that speaks as much of wandb's protocol as a run needs, and fails as it is told to."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WELL, HANGS, ERRORS, REFUSES_KEY = "well", "hangs", "errors", "refuses the key"
_STATUS = {ERRORS: 500, REFUSES_KEY: 401}
PROJECT = {"id": "p", "name": "lrpe", "entity": {"id": "e", "name": "me"}}


class WandbServer:
    """``mood`` is how it answers now; ``history`` holds the rows that came, by run and place in the file.

    ``sent`` is set once a row has come; ``once_open`` is called when a run was opened.
    """

    def __init__(self, mood: str = WELL) -> None:
        self.mood = mood
        self.sent = threading.Event()
        self.once_open: Callable[[], object] = lambda: None
        self.history: dict[str, dict[int, dict[str, Any]]] = {}
        self.finished: set[str] = set()
        self.address = ""

    @property
    def updates(self) -> list[int]:
        """The updates of the only run, as they lie in its file."""
        (lines,) = self.history.values()
        return [lines[place]["update"] for place in sorted(lines)]

    def recover(self) -> None:
        self.mood, self.once_open = WELL, lambda: None

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serve, and give the address for ``WANDB_BASE_URL``; afterwards the port refuses connections."""
        ended = threading.Event()
        http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": self, "ended": ended}))
        http.daemon_threads = True
        http.handle_error = lambda *where: None  # wandb may end while it is answered
        http.block_on_close = False
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            self.address = f"http://127.0.0.1:{http.server_port}"
            yield self.address
        finally:
            ended.set()
            http.shutdown()
            http.server_close()
            thread.join()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/file_stream"):
            self._receive(path.split("/")[-2], body)
            return {}
        if path.startswith("/stored/"):
            return {}
        query, variables = body.get("query", ""), body.get("variables") or {}
        if "upsertBucket" in query:
            name = variables.get("name")
            run = {"id": "b", "name": name, "displayName": "r", "project": PROJECT, "config": "{}"}
            known = len(self.history.get(name, {}))
            return {"data": {"upsertBucket": {"bucket": {**run, "historyLineCount": known}, "inserted": not known}}}
        if "RunResumeStatus" in query:
            return {"data": {"model": {**PROJECT, "bucket": self._bucket(variables["name"])}}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.address}/stored/{name}"} for name in variables["files"]]
            return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}}
        if "viewer" in query:
            return {"data": {"viewer": {"id": "u", "entity": "me", "username": "me", "teams": {"edges": []}}}}
        return {"data": {}}

    def _receive(self, run: str, body: dict[str, Any]) -> None:
        sent = body.get("files", {}).get("wandb-history.jsonl")
        if sent:
            lines = self.history.setdefault(run, {})
            lines.update({sent["offset"] + number: json.loads(line) for number, line in enumerate(sent["content"])})
            self.sent.set()
        if body.get("complete"):
            self.finished.add(run)

    def _bucket(self, run: str) -> dict[str, Any] | None:
        lines = self.history.get(run)
        if not lines:
            return None
        tail = json.dumps([json.dumps(lines[max(lines)])])
        counts = {"historyLineCount": len(lines), "eventsLineCount": 0, "logLineCount": 0}
        texts = {"historyTail": tail, "eventsTail": "[]", "summaryMetrics": "{}", "config": "{}", "wandbConfig": "{}"}
        return {"id": "b", "name": run, "displayName": "r", "tags": [], "notes": "", **counts, **texts}


class _Handler(BaseHTTPRequestHandler):
    state: WandbServer
    ended: threading.Event  # for connections that were open when the server closed
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        state = self.state
        body = self._body()
        while state.mood == HANGS and not self.ended.wait(0.05):
            pass
        if self.ended.is_set():
            self.close_connection = True
            return
        status = _STATUS.get(state.mood, 200)
        content = json.dumps(state.answer(self.path, body) if status == 200 else {"error": state.mood}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        if b"upsertBucket" in content:
            state.once_open()

    do_GET = do_PUT = do_POST

    def _body(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return json.loads(body) if self.headers.get("Content-Type", "").startswith("application/json") else {}

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal."""
