"""One of several client processes: sends its share of a Poisson load and tells what it saw.

    python -m bench.gpu.client --url URL --model NAME --rate 8 --arrivals 300 --share 0/4 --at T
        ... --out FILE

One process would fall behind at 64 requests/s: it reads about ten thousand events a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

from bench.gpu.workloads import W3_SEED, Source, read_w3

from inferd.cli.bench.client import Client
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.workload import Job

WARMUP = (16, 64, 16)  # requests at once, in, out; not counted


def main() -> None:
    args = arguments()
    source = Source(args.limit, tokens=args.tokens)
    load = warmup(source) if args.rate == 0 else share_of(args, source)
    outcomes = _run(send(Client(args.url, args.model), load, args.at))
    # after uvloop.run a pipe takes 64 KiB of a print and loses the rest
    args.out.write_text(json.dumps(outcomes), encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.gpu.client")
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rate", type=int, required=True, help="requests/s; 0: the warm-up")
    parser.add_argument("--arrivals", type=int, default=0)
    parser.add_argument("--share", default="0/1", help="K/N: every Nth request, from the Kth")
    parser.add_argument("--at", type=float, default=0.0, help="time.perf_counter() of second 0")
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--tokens", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True, help="where the outcomes go, as JSON")
    return parser.parse_args()


def warmup(source: Source) -> list[tuple[float, Job]]:
    batch = source.fresh(*WARMUP)
    return [(0.0, Job(*job)) for job in zip(batch.prompts, batch.lengths, strict=True)]


def share_of(args: argparse.Namespace, source: Source) -> list[tuple[float, Job]]:
    """(second, job): request i has W3's lengths and seed, whatever the rate."""
    w3 = read_w3()
    times = w3["arrivals"][str(args.rate)][: args.arrivals]
    batch = source.draw([w3["lengths"][i % len(w3["lengths"])] for i in range(len(times))], W3_SEED)
    jobs = [Job(*job) for job in zip(batch.prompts, batch.lengths, strict=True)]
    first, step = map(int, args.share.split("/"))
    return list(zip(times, jobs, strict=True))[first::step]


async def send(client: Client, load: list[tuple[float, Job]], at: float) -> list[dict[str, Any]]:
    async def one(second: float, job: Job) -> Outcome:
        await asyncio.sleep(max(0.0, at + second - time.perf_counter()))
        return await client.complete(job)

    outcomes = await asyncio.gather(*(one(second, job) for second, job in load))
    return [
        {
            "late": round(outcome.sent - at - second, 4),
            "sent": outcome.sent,
            "pieces": outcome.pieces,
            "num_output": outcome.num_output,
            "ended": outcome.ended,
            "error": outcome.error or _short(outcome, job),
        }
        for outcome, (second, job) in zip(outcomes, load, strict=True)
    ]


def _short(outcome: Outcome, job: Job) -> str | None:
    if outcome.num_output == job.output_len:
        return None
    return f"asked for {job.output_len} tokens, got {outcome.num_output}"


def _run(work: Any) -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


if __name__ == "__main__":
    main()
