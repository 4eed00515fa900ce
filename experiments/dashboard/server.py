"""The page while runs go on: served to this machine alone, refreshed from what changed."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from experiments.dashboard.page import make_page
from experiments.dashboard.references import published_figures
from experiments.dashboard.snapshot import make_snapshot, to_json
from experiments.dashboard.store import FILES, RunStore
from experiments.util.errors import UserError

LOOPBACK = "127.0.0.1"
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SECONDS_BETWEEN_READS = 1.0  # several open pages cost one look at the files
# A file of a run is shown as text: nothing in it can act as a page.
_FILE_POLICY = "default-src 'none'; sandbox"


def make_server(results: Path, port: int, title: str) -> ThreadingHTTPServer:
    """A server on the loopback interface; port 0 takes any free one (``server.server_port`` says which).

    It answers ``/``, ``/snapshot?since=<version>`` (what changed after it), and ``/<run>/<file>`` for the record,
    config and history of the runs it lists. Requests under another host name are refused: a page of a stranger cannot
    have this machine's browser read them by pointing its own name here.

    Raises:
        UserError: the port is taken.
    """
    board = _Board(results, title)

    class Handler(_Handler):
        pass

    Handler.board = board
    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} cannot be used ({error}); give another one, or 0 for any free one") from None


class _Board:
    """The store behind one lock, and the page as long as it holds."""

    def __init__(self, results: Path, title: str) -> None:
        self.title = title
        self.store = RunStore(results)
        self._references = published_figures()
        self._lock = threading.Lock()
        self._read = -_SECONDS_BETWEEN_READS
        self._page: tuple[int, bytes] = (-1, b"")

    def page(self) -> bytes:
        with self._lock:
            self._refresh()
            version = self.store.version
            if self._page[0] != version:
                runs, store = list(self.store.runs.values()), self.store.identity
                snapshot = make_snapshot(runs, version=version, store=store, references=self._references)
                self._page = (version, make_page(snapshot, title=self.title, live=True).encode())
            return self._page[1]

    def changes(self, since: int) -> bytes:
        with self._lock:
            self._refresh()
            runs, removed = self.store.since(since)
            version, store = self.store.version, self.store.identity
            changes = make_snapshot(runs, removed=removed, version=version, store=store, references=self._references)
            return to_json(changes).encode()

    def file(self, path: str) -> bytes | None:
        """A file of a listed run, or None. A link that leads out of the run's folder is not followed."""
        folder, _, name = path.rpartition("/")
        with self._lock:
            known = folder in self.store.runs
        if not known or name not in FILES:
            return None
        place = self.store.results / folder
        file = (place / name).resolve()
        if file.parent != place.resolve() or not file.is_file():
            return None
        return file.read_bytes()

    def _refresh(self) -> None:
        if time.monotonic() - self._read >= _SECONDS_BETWEEN_READS:
            self.store.refresh()
            self._read = time.monotonic()


class _Handler(BaseHTTPRequestHandler):
    board: _Board
    protocol_version = "HTTP/1.1"
    server_version = "lrpe"
    sys_version = ""

    def do_GET(self) -> None:
        if self._host() not in _OWN_NAMES:
            self._answer(HTTPStatus.FORBIDDEN, b"served to this machine alone\n")
            return
        address = urlsplit(self.path)
        if address.path == "/":
            self._answer(HTTPStatus.OK, self.board.page(), "text/html; charset=utf-8")
        elif address.path == "/snapshot":
            since = parse_qs(address.query).get("since", ["0"])[0]
            if not since.isdecimal():
                self._answer(HTTPStatus.BAD_REQUEST, b"since: expected a whole number\n")
                return
            self._answer(HTTPStatus.OK, self.board.changes(int(since)), "application/json")
        elif (content := self.board.file(unquote(address.path).removeprefix("/"))) is not None:
            self._answer(HTTPStatus.OK, content, policy=_FILE_POLICY)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"no such page\n")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """A line a request would bury the address that the terminal shows."""

    def _host(self) -> str:
        host = self.headers.get("Host", "")
        return host if host.endswith("]") else host.rpartition(":")[0] or host

    def _answer(
        self, status: HTTPStatus, content: bytes, kind: str = "text/plain; charset=utf-8", policy: str | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
