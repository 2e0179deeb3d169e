"""`inferd serve` as a user starts it: time to the first token, and memory after the 64 requests.

PYTHON -m bench.peers.inferd_served --model HF_FOLDER ...        (flags: measure.arguments)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from importlib.metadata import version

from bench.peers.measure import NEW_TOKENS, Figures, arguments, report, tree_pss_mb

from inferd.cli.bench.client import Client
from inferd.cli.bench.load import Load, drive
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.server import OwnServer
from inferd.cli.bench.workload import Job

FLAGS = ["--dtype", "bfloat16", "--max-model-len", "2048"]


def main() -> None:
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    report(_measure(args))


def _measure(args: argparse.Namespace) -> Figures:
    prompts = json.loads(args.prompts.read_text(encoding="utf-8"))
    main_jobs = [Job(prompt["ids"], NEW_TOKENS) for prompt in prompts["main"][: args.requests]]
    started = time.perf_counter()
    with OwnServer(str(args.model), FLAGS) as server:
        client = Client(server.ready["url"], server.ready["models"][0])
        _run(client, [Job(prompts["long512"]["ids"][:8], 1)])
        ready_s = time.perf_counter() - started
        figures = Figures("inferd serve", version("inferd"), round(ready_s, 2), args.threads)
        figures.details = {
            "ready_event_s": round(server.ready_s, 2),
            "weight_bytes": server.ready["weight_bytes"],
            "kv_bytes": server.ready["kv_bytes"],
        }
        if "batch" in args.parts:
            seconds, outcomes = _run(client, main_jobs)
            tokens = sum(outcome.num_output for outcome in outcomes)
            figures.batch_out_tok_s = round(tokens / seconds, 1)
            figures.pss_mb = round(tree_pss_mb(server.process.pid), 1)
    return figures


def _run(client: Client, jobs: list[Job]) -> tuple[float, list[Outcome]]:
    """Seconds and outcomes of jobs sent at once. Raises SystemExit when one fails."""
    outcomes, seconds = asyncio.run(drive(client, Load(jobs, [0.0] * len(jobs))))
    failed = [outcome.error for outcome in outcomes if outcome.error]
    if failed:
        raise SystemExit(f"{len(failed)} requests failed, the first: {failed[0]}")
    return seconds, outcomes


if __name__ == "__main__":
    main()
