"""Running a driver in its engine's environment, and giving the device back before the next one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.peers.machine import end_children

ROOT = Path(__file__).resolve().parents[2]
QUERY = ["nvidia-smi", "--format=csv,noheader,nounits", "--query-gpu"]
FREE_MIB = 2500  # in use on an idle card: the driver's own
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
VLLM = {  # no network, no FlashInfer (which would compile), no phoning home
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
}
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where vLLM can be imported."""

    python: str = sys.executable
    path: str = ""  # its PYTHONPATH


def inferd_environment() -> dict[str, str]:
    return dict(os.environ) | OFFLINE


def peer_environment(path: str) -> dict[str, str]:
    """inferd's own PYTHONPATH stays out: the peer brings other versions of the same packages."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if Path("/sys/class/net/lo").exists() else {}
    return kept | OFFLINE | VLLM | loopback | ({"PYTHONPATH": path} if path else {})


def run_driver(
    command: Sequence[object],
    environment: dict[str, str],
    log: IO[str],
    show: Callable[[Line], None],
    timeout: float,
) -> tuple[list[Line], str | None]:
    """The driver's lines as they came, and why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        results.touch()
        started = time.time()
        words = [*map(str, command), "--results", str(results), "--started", str(started)]
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log)
        found: list[Line] = []
        try:
            while process.poll() is None and time.time() - started < timeout:
                found = _news(results, found, show)
                time.sleep(0.2)
        finally:
            ended = process.poll()
            process.kill()
            process.wait()
            end_children()
        found = _news(results, found, show)
    wait_free()
    if ended is None:
        return found, f"no end after {timeout:g} s"
    return found, f"exit code {ended}" if ended else None


def _news(path: Path, found: list[Line], show: Callable[[Line], None]) -> list[Line]:
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    for line in lines[len(found) :]:
        show(line)
    return lines


def wait_free(limit_s: float = 20.0) -> None:
    """Until the memory of what ran before is back."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        used = query("memory.used")
        if used is None or int(used) < FREE_MIB:
            return
        time.sleep(0.5)


def query(names: str) -> str | None:
    """What nvidia-smi says of the first card; None without one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):
        done = subprocess.run(
            [*QUERY[:2], f"{QUERY[2]}={names}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout.splitlines()[0].strip()
    return None


def tail(path: Path, lines: int = 25) -> str:
    """The end of a log, for a failure."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(f"  | {line[:300]}" for line in text.splitlines()[-lines:])
