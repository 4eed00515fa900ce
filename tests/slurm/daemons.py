"""What SLURM's daemons need: munge, and for accounting a database and slurmdbd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.slurm.layout import CONFIG, MARK, STATE
from tests.slurm.processes import ClusterError, alive, pid_in, quietly, run, succeeds, until

ACCOUNTING_PROGRAMS = ("mariadb", "mariadbd", "mariadb-install-db", "slurmdbd")
DATABASE_CONFIG = CONFIG.with_name("slurmdbd.conf")
DATABASE_SOCKET = STATE / "run" / "mariadb.sock"
MUNGE_PID = Path("/run/munge/munged.pid")


def start_munge() -> None:
    folders = ["/run/munge", "/var/log/munge", "/var/lib/munge"]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    if (running := pid_in(MUNGE_PID)) is not None and alive(running):
        return
    run("setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups", "munged", "--force")


def start_accounting() -> None:
    """Start it, with an account for root.

    Raises:
        ClusterError: a package lacks, or a daemon does not answer.
    """
    if lacking := [name for name in ACCOUNTING_PROGRAMS if shutil.which(name) is None]:
        raise ClusterError(f"no {', '.join(lacking)}")
    database, pids = STATE / "database", STATE / "run"
    log = STATE / "log" / "mariadbd.log"
    if not database.exists():
        database.mkdir()
        shutil.chown(database, "mysql", "mysql")
        words = [f"--datadir={database}", "--auth-root-authentication-method=socket", "--skip-test-db"]
        run("env", "-u", "TMPDIR", "mariadb-install-db", "--no-defaults", "--user=mysql", *words)
    shutil.chown(pids, "mysql", "mysql")
    words = ["--user=mysql", "--skip-networking", f"--socket={DATABASE_SOCKET}", f"--pid-file={pids}/mariadbd.pid"]
    with open(log, "ab") as out:
        subprocess.Popen(
            ["env", "-u", "TMPDIR", "mariadbd", "--no-defaults", f"--datadir={database}", *words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    statement = "create database if not exists slurm; grant all on slurm.* to root@localhost"
    until(lambda: succeeds("mariadb", f"--socket={DATABASE_SOCKET}", "-e", statement), f"no database; see {log}")
    DATABASE_CONFIG.write_text(
        f"""{MARK}
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
LogFile={STATE}/log/slurmdbd.log
PidFile={pids}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
""",
        encoding="utf-8",
    )
    DATABASE_CONFIG.chmod(0o600)
    # its MySQL client looks for the socket where this says
    run("env", f"MYSQL_UNIX_PORT={DATABASE_SOCKET}", "slurmdbd")
    until(lambda: succeeds("sacctmgr", "-n", "show", "cluster"), f"no slurmdbd; see {STATE}/log/slurmdbd.log")
    for words in (["cluster", "test"], ["account", "lab"], ["user", "root", "account=lab"]):
        quietly("sacctmgr", "-i", "add", *words)
