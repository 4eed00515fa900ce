"""Stand-ins for SLURM's commands on PATH, over a folder of plain files, and a scheduler that a test moves by hand."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SBATCH = """\
#!/bin/sh
cd {folder}
if [ -f refusal ]; then cat refusal >&2; exit 1; fi
number=$(cat next); echo $((number + 1)) > next
cat > $number.sh
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' $number.sh)
for place in $(seq 0 $last); do echo "${{number}}_$place|PENDING|0:00|Priority" >> queue; done
echo $number
"""
SQUEUE = """\
#!/bin/sh
cd {folder}
if [ -f down ]; then cat down >&2; exit 1; fi
cat queue
"""
SACCT = """\
#!/bin/sh
cd {folder}
cat accounts 2>/dev/null || {{ echo 'Slurm accounting storage is disabled' >&2; exit 1; }}
"""


class StandIn:
    """``folder`` holds the commands in ``bin``, the queue as squeue shows it, and every script that was submitted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (folder / "next").write_text("12\n")
        (folder / "queue").write_text("")
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("sacct", SACCT)):
            (self.bin / name).write_text(text.format(folder=folder))
            (self.bin / name).chmod(0o755)

    @property
    def arrays(self) -> list[int]:
        """The numbers of what was submitted, in order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.sh"))

    def script(self, array: int) -> str:
        return (self.folder / f"{array}.sh").read_text()

    def commands(self, array: int) -> list[list[str]]:
        """The command of each of an array's jobs."""
        return [shlex.split(found) for found in re.findall(r"^\d+\) set -- (.*) ;;$", self.script(array), re.MULTILINE)]

    def option(self, array: int, name: str) -> str | None:
        found = re.search(rf"^#SBATCH --{name}=(.*)$", self.script(array), re.MULTILINE)
        return found[1] if found else None

    def set(self, job: str, state: str | None, reason: str = "None") -> None:
        """Give a job a state in the queue; None: squeue has forgotten it."""
        lines = (self.folder / "queue").read_text().splitlines()
        kept = [line for line in lines if line.split("|")[0] != job]
        if state is not None:
            kept.append(f"{job}|{state}|1:05|{reason}")
        partial = self.folder / "queue.new"
        partial.write_text("".join(f"{line}\n" for line in kept))
        partial.replace(self.folder / "queue")

    def run(self, array: int, do: Callable[[Sequence[str]], int]) -> None:
        """Let every job of an array run to its end, once it is submitted."""
        self.wait_until(lambda: array in self.arrays)
        for place, command in enumerate(self.commands(array)):
            self.set(f"{array}_{place}", "RUNNING")
            self.set(f"{array}_{place}", "FAILED" if do(command) else "COMPLETED")

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.01)
