"""What a server's processes have used, from /proc: memory and CPU of a whole tree."""

import os
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.1


class Tree:
    """A process and all its descendants, looked up anew at each call."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        if not Path(f"/proc/{pid}").exists():
            raise SystemExit(f"There is no process {pid}.")

    def pids(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """User and system seconds so far, those of children that have ended included."""
        ticks = 0
        for pid in self.pids():
            if fields := _stat(pid):
                ticks += int(fields[11]) + int(fields[12])
                if pid == self.pid:
                    ticks += int(fields[13]) + int(fields[14])
        return ticks / TICKS_PER_S

    def memory_mib(self) -> float:
        """Proportional set size: a page that n processes share counts 1/n for each."""
        kib = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            if found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE):
                kib += int(found[1])
        return kib / 1024


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, from "state" on; None if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class Peak:
    """The largest memory of a tree while the block runs, sampled ten times a second."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.mib = tree.memory_mib()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.mib = max(self.mib, self.tree.memory_mib())
