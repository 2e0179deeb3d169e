"""`inferd serve` as a process of the benchmark's own, stopped at its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from inferd.errors import EnvironmentProblem

COMMAND = [sys.executable, "-c", "import sys; from inferd.cli import main; sys.exit(main())"]
STOP_S = 30.0


class OwnServer:
    """Context manager: the server on a free port. `ready` is its ready event.

    Raises EnvironmentProblem when the server ends before it is ready. For the main thread: SIGTERM
    becomes an exit that stops the server too.
    """

    def __init__(self, model: str, flags: Sequence[str]) -> None:
        self._command = [*COMMAND, "serve", model, "--port", "0", *flags]
        self.ready: dict[str, Any] = {}
        self.ready_s = 0.0  # process start to the ready event
        self.process: subprocess.Popen[str]

    def __enter__(self) -> OwnServer:
        self._handler = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        started = time.perf_counter()
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        try:
            self.ready = self._wait_ready()
        except BaseException:
            self._stop()
            raise
        self.ready_s = time.perf_counter() - started
        return self

    def _wait_ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "ready":
                return event
        raise EnvironmentProblem(
            f"inferd serve ended with exit code {self.process.wait()} before it was ready; "
            "see its message above"
        )

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        finally:
            signal.signal(signal.SIGTERM, self._handler)
