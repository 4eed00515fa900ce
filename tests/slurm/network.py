"""The nodes' network namespaces, on one bridge: each has an address, ports, a hosts file and a boot id of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import uuid
from pathlib import Path

from tests.slurm.layout import CONTROLLER, NODES
from tests.slurm.processes import quietly, run

BRIDGE = "hsbr"


def make_network() -> None:
    """Set it up; what is there already is left."""
    quietly("ip", "link", "add", BRIDGE, "type", "bridge")
    quietly("ip", "addr", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    hosts = "\n".join(f"{address} {node}" for node, (_, address) in NODES.items())
    for namespace, address in NODES.values():
        outer = _outer(namespace)
        quietly("ip", "netns", "add", namespace)
        quietly("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", outer, "master", BRIDGE, "up")
        quietly("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        folder = Path("/etc/netns", namespace)
        folder.mkdir(parents=True, exist_ok=True)
        text = f"127.0.0.1 localhost\n{CONTROLLER} {socket.gethostname()}\n{hosts}\n"
        (folder / "hosts").write_text(text, encoding="utf-8")
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")


def _outer(namespace: str) -> str:
    """The end of a node's cable that lies outside of it."""
    return f"{BRIDGE}{namespace[-1]}"


def remove_network() -> None:
    for namespace, _ in NODES.values():
        quietly("ip", "link", "del", _outer(namespace))  # the kernel removes a namespace's own end only later
        quietly("ip", "netns", "del", namespace)
        shutil.rmtree(f"/etc/netns/{namespace}", ignore_errors=True)
    quietly("ip", "link", "del", BRIDGE)


def processes_in(namespace: str) -> list[int]:
    """A node's daemon, and what is left of its jobs."""
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]
