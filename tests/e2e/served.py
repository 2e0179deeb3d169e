"""`inferd serve` as a process of its own, that never outlives its test."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_S = 240.0
GOOD = {"model": "tiny", "prompt": "a", "max_tokens": 8, "temperature": 0}
COMMAND = [sys.executable, "-c", "import sys; from inferd.cli import main; sys.exit(main())"]


class Served:
    """A started server; `events` are its JSON lines."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    @property
    def stderr(self) -> str:
        return "".join(self._errors)

    def event(self, name: str, timeout: float = START_S) -> dict[str, Any]:
        """Wait for an event; fails when the server ends before it."""
        end = time.monotonic() + timeout
        while True:
            line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            assert line is not None, f"the server ended before {name!r}:\n{self.stderr}"
            if line["event"] == name:
                return line

    @property
    def engine_pid(self) -> int:
        """The engine process: the child that runs inferd.engine.process."""
        return next(p for p in self.children() if "inferd.engine.process" in _command_of(p))

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float) -> int:
        return self.process.wait(timeout)

    def close(self) -> None:
        """Kill whatever is left of the session and release the pipes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def is_gone(self) -> bool:
        """Whether no process of the server's session is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Served]:
    served = Served(*arguments, **environment)
    try:
        yield served
    finally:
        served.close()
