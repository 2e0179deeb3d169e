"""The served section: a server of each engine in turn, the same Poisson load on both."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.gpu.processes import ROOT, Peer, peer_environment
from bench.gpu.served_figures import figures, median_of
from bench.gpu.workloads import read_w3
from bench.peers.machine import end_children

from inferd.cli.bench.client import Client
from inferd.cli.bench.server import OwnServer
from inferd.errors import EnvironmentProblem

CLIENTS = 4
# 64 requests/s is more than a card does: its output rate is read in seconds 5 to 20 of arrivals
ARRIVALS = {8: 300, 16: 300, 32: 300, 64: 1280}
START_S = 300.0
LEAD_S = 4.0  # what the clients need to draw their prompts


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    model: str
    ready_s: float  # process start to its first answer


@contextlib.contextmanager
def inferd_server(model: Path, options: dict[str, Any]) -> Iterator[Server]:
    with OwnServer(str(model), flags_of(options)) as server:
        yield Server(server.ready["url"], server.ready["models"][0], server.ready_s)


@contextlib.contextmanager
def vllm_server(model: Path, options: dict[str, Any], peer: Peer, log: IO[str]) -> Iterator[Server]:
    """Raises EnvironmentProblem when it does not answer in time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [peer.python, "-m", "vllm.entrypoints.cli.main", "serve", str(model), "--port"]
    command += [str(port), "--host", "127.0.0.1", "--served-model-name", "m", *flags_of(options)]
    command += ["--uvicorn-log-level", "warning"]  # a line per request would cost it time
    with peer_server(command, peer_environment(peer.path), port, log) as server:
        yield server


@contextlib.contextmanager
def peer_server(
    command: list[str], environment: dict[str, str], port: int, log: IO[str]
) -> Iterator[Server]:
    """It serves the model as m. Raises EnvironmentProblem when it does not answer in time."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(Client(url, "m"), process)
        yield Server(url, "m", time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        end_children()


def _wait(client: Client, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(EnvironmentProblem):
            asyncio.run(client.models())
            return
        time.sleep(0.25)
    raise EnvironmentProblem(f"{client.url} is not up; exit code {process.poll()}, see the log")


def flags_of(options: dict[str, Any]) -> list[str]:
    """{"max_model_len": 8, "enable_x": False} as --max-model-len 8 --no-enable-x."""
    flags = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", str(value)]
    return flags


def measure(server: Server, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rate's figures, the median of `--runs`."""
    drive(server, args, 0, 0)
    for rate in args.rates:
        count = max(2, round(ARRIVALS[rate] * args.requests))
        runs = [drive(server, args, rate, count) for _ in range(args.runs)]
        yield f"served{rate}", median_of(runs) | {"server_ready_s": round(server.ready_s, 2)}


def drive(server: Server, args: argparse.Namespace, rate: int, count: int) -> dict[str, Any]:
    """One load, sent by several processes at once; rate 0 is the warm-up."""
    num_clients = CLIENTS if rate else 1
    at = time.perf_counter() + (LEAD_S if rate else 0)
    command = [sys.executable, "-m", "bench.gpu.client", "--url", server.url, "--model"]
    command += [server.model, "--rate", str(rate), "--arrivals", str(count), "--at", str(at)]
    command += ["--limit", str(args.limit), "--tokens", str(args.tokens)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{k}.json" for k in range(num_clients)]
        clients = [
            subprocess.Popen([*command, "--share", f"{k}/{num_clients}", "--out", file], cwd=ROOT)
            for k, file in enumerate(files)
        ]
        failed = [client.wait() for client in clients]
        outcomes: list[dict[str, Any]] = []
        for code, file in zip(failed, files, strict=True):
            outcomes += [{"error": "client failed"}] if code else json.loads(file.read_text())
    last = read_w3()["arrivals"][str(rate)][count - 1] if rate else 0.0
    return figures(outcomes, at, last)
