"""inferd bench serve: drives an OpenAI-compatible server and reports what its clients saw."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import ExitStack
from typing import Any

from inferd.cli.bench.client import Client
from inferd.cli.bench.load import Load, drive
from inferd.cli.bench.measures import Goodput, arrivals
from inferd.cli.bench.report import Report
from inferd.cli.bench.server import OwnServer
from inferd.cli.bench.serving import summarize, text
from inferd.cli.bench.workload import Job, add_workload_flags, jobs_of, trace_arrivals
from inferd.errors import UsageError

SAFE_VOCAB = 32_000  # ids below it are known to every current tokenizer


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workload_flags(parser, num_prompts=64)
    group = parser.add_argument_group("load")
    group.add_argument("--request-rate", type=float, default=float("inf"), help="per second")
    group.add_argument(
        "--arrivals",
        choices=["poisson", "fixed", "trace"],
        default="poisson",
        help="of --request-rate; trace: as --dataset-path lists them",
    )
    group.add_argument("--max-concurrency", type=int, help="requests in flight at most")
    group.add_argument("--num-warmup", type=int, default=2, help="requests beforehand, not counted")
    group.add_argument("--timeout", type=float, default=600.0, help="seconds per request")
    group.add_argument("--seed", type=int, default=0, help="of prompts and arrivals")
    group.add_argument(
        "--goodput", nargs="+", default=[], metavar="NAME:MS", help="for example ttft:500 tpot:50"
    )
    group = parser.add_argument_group("server")
    group.add_argument("--url", help="http://HOST:PORT; without it, inferd serve is started")
    group.add_argument("--api-key", default=os.environ.get("OPENAI_API_KEY"))
    group.add_argument("serve_flags", nargs="*", metavar="-- FLAGS", help="for inferd serve")


def run(args: argparse.Namespace) -> Report:
    _check(args)
    goodput = Goodput.parse(args.goodput)
    jobs = jobs_of(args, SAFE_VOCAB, args.seed)
    load = Load(jobs, _times(args, len(jobs)), args.max_concurrency)
    with ExitStack() as stack:
        started: dict[str, Any] = {}
        url, model = args.url, args.model
        if url is None:
            server = stack.enter_context(OwnServer(model, args.serve_flags))
            url, model = server.ready["url"], server.ready["models"][0]
            started = {"ready_s": round(server.ready_s, 2), "kv_tokens": server.ready["kv_tokens"]}
        client = Client(url, model, api_key=args.api_key, timeout_s=args.timeout)
        outcomes, seconds = asyncio.run(_measure(client, load, args.num_warmup))
    values = {
        "url": args.url or "inferd serve",
        "model": client.model,
        **started,
        "request_rate": None if args.request_rate == float("inf") else args.request_rate,
        "arrivals": args.arrivals,
        "max_concurrency": args.max_concurrency,
        **summarize(outcomes, seconds, goodput),
    }
    return Report(values, text(values), _complaints(values["failures"]))


def _check(args: argparse.Namespace) -> None:
    if not args.request_rate > 0:
        raise UsageError(f"--request-rate {args.request_rate:g}: give requests per second, or inf")
    if args.max_concurrency is not None and args.max_concurrency < 1:
        raise UsageError("--max-concurrency must be at least 1")
    if args.url is not None and args.serve_flags:
        raise UsageError("flags after -- are for the server that is started without --url")
    if args.arrivals == "trace" and args.dataset_path is None:
        raise UsageError("--arrivals trace needs --dataset-path FILE with lengths and arrivals")


def _times(args: argparse.Namespace, count: int) -> list[float]:
    if args.arrivals == "trace":
        return trace_arrivals(args.dataset_path, args.request_rate)[:count]
    return arrivals(count, args.request_rate, args.arrivals, args.seed)


async def _measure(client: Client, load: Load, num_warmup: int) -> Any:
    known = await client.models()
    if client.model not in known and len(known) == 1:
        print(f"inferd bench: {client.url} serves {known[0]!r}; using it", file=sys.stderr)
        client.model = known[0]
    # other ids than the jobs', so that no prompt finds itself in a prefix cache
    for job in load.jobs[:num_warmup]:
        await client.complete(Job(job.prompt_ids[::-1][:16], 4))
    return await drive(client, load)


def _complaints(failures: dict[str, int]) -> list[str]:
    return [f"{count} requests failed: {reason}" for reason, count in failures.items()]
