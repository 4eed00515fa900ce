"""A server on loopback that speaks as much of wandb's protocol as runs and ``wandb.Api`` need, and fails on demand."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import serving

WELL, HANGS, ERRORS, REFUSES_KEY = "well", "hangs", "errors", "refuses the key"
_STATUS = {ERRORS: 500, REFUSES_KEY: 401}
PROJECT = {"id": "p", "name": "lrpe", "entity": {"id": "e", "name": "me"}}


@dataclass
class StoredRun:
    """What was sent of one run: lines by their place in the history file, and what describes the run."""

    name: str
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    state: str = "running"

    @property
    def rows(self) -> dict[int, dict[str, Any]]:
        """Without wandb's own columns, by step; fails where a step lies there twice or out of order."""
        steps = [self.lines[place]["_step"] for place in sorted(self.lines)]
        assert steps == sorted(set(steps)), steps
        return {
            line["_step"]: {name: value for name, value in line.items() if not name.startswith("_")}
            for line in self.lines.values()
        }

    @property
    def last_step(self) -> int:
        return max((line["_step"] for line in self.lines.values()), default=-1)


class WandbServer:
    """``mood`` is how it answers now; ``runs`` is what it has; ``received`` counts the history lines that came.

    ``opened_once`` is set once a run was opened, ``sent`` once a row has come, for which wandb takes up to 15 seconds.
    """

    def __init__(self, mood: str = WELL) -> None:
        self.mood = mood
        self.rewinds = True
        self.opened_once, self.sent = threading.Event(), threading.Event()
        self.runs: dict[str, StoredRun] = {}
        self.received = self.opened = 0
        self.keep_at_most: int | None = None  # lines of history, whatever is sent
        self.address = ""

    @property
    def run(self) -> StoredRun:
        """The only run."""
        (run,) = self.runs.values()
        return run

    def recover(self) -> None:
        self.mood, self.keep_at_most = WELL, None

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serve, and give the address for ``WANDB_BASE_URL``; afterwards the port refuses connections."""
        ended = threading.Event()
        with serving(type("Handler", (_Handler,), {"state": self, "ended": ended})) as self.address:
            try:
                yield self.address
            finally:
                ended.set()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/file_stream"):
            self._receive(self.runs[path.split("/")[-2]], body)
            return {}
        if path.startswith("/stored/"):
            return {}
        return {"data": self._graphql(body.get("query", ""), body.get("variables") or {})}

    def _graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("name") or variables.get("runName") or variables.get("run")
        run = self.runs.get(name) if isinstance(name, str) else None
        if "upsertBucket" in query:
            return {"upsertBucket": self._upsert(variables)}
        if "RunResumeStatus" in query:
            return {"model": {**PROJECT, "bucket": None if run is None else self._bucket(run)}}
        if "rewindRun" in query:
            return self._rewind(variables)
        if "createRunFiles" in query:
            files = [{"name": file, "uploadUrl": f"{self.address}/stored/{file}"} for file in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            return {"viewer": {"id": "u", "entity": "me", "username": "me", "teams": {"edges": []}}}
        if run is not None and "RunParquetHistory" in query:
            live = [{"_step": line["_step"]} for line in run.lines.values()]
            return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": live}}}}
        if run is not None and "HistoryPage" in query:
            steps = range(variables["minStep"], variables["maxStep"])
            page = [json.dumps(line) for line in run.lines.values() if line["_step"] in steps]
            return {"project": {"run": {"history": page}}}
        if "query Run(" in query or "RunHistoryKeys" in query:
            return {"project": {"run": None if run is None else self._public(run)}}
        return {}

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        known = name in self.runs
        run = self.runs.setdefault(name, StoredRun(name))
        run.described |= {key: value for key, value in variables.items() if value is not None}
        run.state = "running"
        bucket = {"id": "b", "name": name, "displayName": "r", "project": PROJECT, "config": "{}"}
        return {"bucket": {**bucket, "historyLineCount": len(run.lines)}, "inserted": not known}

    def _rewind(self, variables: dict[str, Any]) -> dict[str, Any]:
        if not self.rewinds:
            return {}
        run = self.runs[variables["runName"]]
        run.lines = {place: line for place, line in run.lines.items() if line["_step"] <= variables["metricValue"]}
        run.state = "running"
        rewound = {"id": "b", "name": run.name, "displayName": "r", "project": PROJECT, "config": "{}"}
        return {"rewindRun": {"rewoundRun": {**rewound, "historyLineCount": len(run.lines)}}}

    def _receive(self, run: StoredRun, body: dict[str, Any]) -> None:
        files = body.get("files", {})
        if sent := files.get("wandb-history.jsonl"):
            lines = {sent["offset"] + number: json.loads(line) for number, line in enumerate(sent["content"])}
            run.lines |= lines
            self.received += len(lines)
            self.sent.set()
        lost = run.lines.keys() - list(run.lines)[: self.keep_at_most]
        for place in lost:
            del run.lines[place]
        if (sent := files.get("wandb-summary.json")) and not lost:
            run.summary = json.loads(sent["content"][-1])
        if body.get("complete"):
            run.state = "failed" if body.get("exitcode") else "finished"

    def _bucket(self, run: StoredRun) -> dict[str, Any]:
        tail = json.dumps([json.dumps(run.lines[max(run.lines)])] if run.lines else [])
        counts = {"historyLineCount": len(run.lines), "eventsLineCount": 0, "logLineCount": 0}
        texts = {"historyTail": tail, "eventsTail": "[]", "summaryMetrics": json.dumps(run.summary), "config": "{}"}
        begun = {"wandbConfig": json.dumps({"t": {}})}  # without its telemetry wandb takes a run for an empty one
        return {"id": "b", "name": run.name, "displayName": "r", "tags": [], "notes": "", **counts, **texts, **begun}

    def _public(self, run: StoredRun) -> dict[str, Any]:
        keys = {"lastStep": run.last_step, "keys": {}}
        texts = {"config": "{}", "systemMetrics": "{}", "summaryMetrics": json.dumps(run.summary)}
        times = dict.fromkeys(("createdAt", "heartbeatAt"), "2026-01-01T00:00:00")
        return {"id": "b", "projectId": "1", "name": run.name, "displayName": "r", "state": run.state, "tags": [],
                "user": {"name": "me", "username": "me"}, "historyKeys": keys, **texts, **times}  # fmt: skip


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
            state.opened += 1
            state.opened_once.set()

    do_GET = do_PUT = do_POST

    def _body(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return json.loads(body) if self.headers.get("Content-Type", "").startswith("application/json") else {}

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal."""
