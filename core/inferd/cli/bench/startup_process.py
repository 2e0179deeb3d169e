"""One start of the engine in a process of its own: options of LLM on stdin, phases on stdout.

`python -m inferd.cli.bench.startup_process STARTED`, with time.time() of the moment before.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

PROMPT_TOKENS = 16
BEFORE = ("python", "torch")  # phases that end before the engine begins


class Clock:
    """Seconds by phase; each begins where the one before ended, the first at `started`."""

    def __init__(self, started: float) -> None:
        self.phases: dict[str, float] = {}
        self._began = started

    def end(self, phase: str) -> None:
        ended = time.time()
        self.phases[phase] = ended - self._began
        self._began = ended


def main() -> int:
    clock = Clock(float(sys.argv[1]))
    options = json.load(sys.stdin)
    clock.end("python")
    import torch  # noqa: F401 - first, so that its time is its own

    clock.end("torch")
    from inferd.errors import InferdError

    try:
        print(json.dumps(_start(options, clock)))
    except InferdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _start(options: dict[str, Any], clock: Clock) -> dict[str, Any]:
    from inferd.cli.bench.offline import generate, setting
    from inferd.cli.bench.workload import draw
    from inferd.engine.llm import LLM

    with LLM(**options) as llm:
        clock.end("engine")
        generate(llm, draw([(PROMPT_TOKENS, 1)], llm.info.vocab_size, seed=0))
        clock.end("first_token")
        phases = in_order(clock.phases, llm.info.summary["start_seconds"])
        return {"setting": setting(llm), "phases_s": phases}


def in_order(phases: dict[str, float], worker: dict[str, float]) -> dict[str, float]:
    """What the worker says of its part of `engine` stands in the place of that part."""
    found: dict[str, Any] = {name: phases[name] for name in BEFORE}
    found |= worker
    found["engine"] = phases["engine"] - sum(worker.values())
    found["first_token"] = phases["first_token"]
    return {name: round(seconds, 3) for name, seconds in found.items()}


if __name__ == "__main__":
    sys.exit(main())
