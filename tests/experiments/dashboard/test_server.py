"""The server shows the runs to this machine, and nothing else to anybody."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from experiments.dashboard import server as server_module
from experiments.dashboard.server import make_server
from experiments.util.errors import UserError
from tests.experiments.dashboard.conftest import Write, rows_of


@pytest.fixture
def server(results: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(server_module, "_SECONDS_BETWEEN_READS", 0.0)
    made = make_server(results, 0, "test")
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def get(server: ThreadingHTTPServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, dict(answer.getheaders())


def test_it_listens_on_loopback_alone(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_follows_the_runs(server: ThreadingHTTPServer, write_run: Write) -> None:
    assert get(server, "/")[0] == 200
    running = write_run("rope", 1, status=None, rows=rows_of([5.0]))
    first = json.loads(get(server, "/snapshot?since=0")[1])
    assert [run["status"] for run in first["runs"]] == ["running"]
    same = json.loads(get(server, f"/snapshot?since={first['version']}")[1])
    assert (same["version"], same["runs"], same["store"]) == (first["version"], [], first["store"])
    running.close("finished", to_update=100, metrics={"test_perplexity": 5.0})
    later = json.loads(get(server, f"/snapshot?since={first['version']}")[1])
    assert [run["status"] for run in later["runs"]] == ["finished"]
    assert '"status":"finished"' in get(server, "/")[1]


def test_the_files_of_listed_runs_are_shown_as_text(server: ThreadingHTTPServer, write_run: Write) -> None:
    write_run("rope", 1, rows=rows_of([5.0]))
    get(server, "/")
    for name in ("record.json", "config.yaml", "history.jsonl"):
        status, content, headers = get(server, f"/runs/alm/rope-0123abcd/seed1/{name}")
        assert (status, bool(content)) == (200, True)
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/alm/rope-0123abcd/seed1/train.log",
        "/runs/alm/rope-0123abcd/seed1/../../../../secret.txt",
        "/runs/alm/rope-0123abcd/seed1/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "/runs/alm/rope-0123abcd/seed1/linked/record.json",
        "/runs/alm/rope-0123abcd/seed2/record.json",
        "/runs/alm/rope-0123abcd/seed1/",
        "/runs/alm/rope-0123abcd/seed1/record.json/",
        "/secret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/runs",
    ],
)
def test_nothing_else_is_given_out(server: ThreadingHTTPServer, write_run: Write, results: Path, path: str) -> None:
    folder = write_run("rope", 1).path
    (folder / "train.log").write_text("secret")
    (results / "secret.txt").write_text("secret")
    (results / "record.json").write_text("secret")
    (folder / "linked").symlink_to(results)
    get(server, "/")
    status, content, _ = get(server, path)
    assert (status, content) == (404, "no such page\n")


def test_a_link_out_of_the_folder_is_not_followed(server: ThreadingHTTPServer, write_run: Write, results: Path) -> None:
    folder = write_run("rope", 1)
    (results / "secret.txt").write_text("a: secret")
    folder.config_path.unlink()
    folder.config_path.symlink_to(results / "secret.txt")
    get(server, "/")
    assert get(server, "/runs/alm/rope-0123abcd/seed1/config.yaml")[0] == 404


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_served_by_each_of_its_names(server: ThreadingHTTPServer, name: str) -> None:
    for host in (name, f"{name}:{server.server_port}"):
        assert get(server, "/", Host=host)[0] == 200


@pytest.mark.parametrize(
    "name",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80@localhost", "xlocalhost",
     "0.0.0.0", "127.0.0.2", "[::]", "", " ", "localhost, evil.example", "evil.example/localhost"],
)  # fmt: skip
def test_another_host_name_is_refused(server: ThreadingHTTPServer, name: str) -> None:
    for host in (name, f"{name}:{server.server_port}"):
        for path in ("/", "/snapshot?since=0", "/runs/alm/rope-0123abcd/seed1/record.json"):
            assert get(server, path, Host=host)[0] == 403


def test_other_methods_are_refused(server: ThreadingHTTPServer) -> None:
    assert get(server, "/", method="POST")[0] == 501
    assert get(server, "/snapshot?since=x")[0] == 400
    status, content, headers = get(server, "/", method="HEAD")
    assert (status, content) == (200, "")
    assert int(headers["Content-Length"]) > 10_000


def test_a_taken_port_is_named(server: ThreadingHTTPServer, results: Path) -> None:
    with pytest.raises(UserError, match=f"port {server.server_port} cannot be used"):
        make_server(results, server.server_port, "test")
    with pytest.raises(UserError, match="port 99999"):
        make_server(results, 99_999, "test")
