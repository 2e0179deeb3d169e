"""Command line of the simulator.

python -m inferd.scheduling.simulate TRACE.json [--rate 16] [--num-blocks 28594] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from inferd.config.scheduler import SchedulerOptions
from inferd.errors import InferdError
from inferd.memory.block_table import CacheLayout, GroupSpec
from inferd.scheduling.policy import FcfsPolicy, PriorityPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.simulate import CostModel, load_trace, simulate

POLICIES = {policy.name: policy for policy in (FcfsPolicy, PriorityPolicy)}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m inferd.scheduling.simulate",
        description="Drive the real scheduler with a cost model, in virtual time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    switch = argparse.BooleanOptionalAction
    made.add_argument("trace", type=Path, help="JSON, see inferd.scheduling.simulate.trace")
    made.add_argument("--rate", help="which of the trace's arrivals; without it all come at once")
    made.add_argument("--num-blocks", type=int, default=28594, help="KV blocks")
    made.add_argument("--block-size", type=int, default=16, help="tokens per block")
    made.add_argument("--window", type=int, help="a sliding window, in tokens, on all layers")
    made.add_argument("--max-model-len", type=int, default=8192)
    made.add_argument("--max-num-seqs", type=int, default=256)
    made.add_argument("--max-num-batched-tokens", type=int, default=2048)
    made.add_argument("--scheduling-policy", choices=sorted(POLICIES), default="fcfs")
    made.add_argument("--enable-chunked-prefill", action=switch, default=True)
    made.add_argument("--enable-prefix-caching", action=switch, default=True)
    made.add_argument("--async-scheduling", action=switch, default=True, help="one step ahead")
    for field in fields(CostModel):
        flag = "--" + field.name.replace("_", "-")
        made.add_argument(flag, type=float, default=field.default, help="of the cost model")
    made.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return made


def scheduler_of(args: argparse.Namespace, num_requests: int) -> Scheduler:
    options = SchedulerOptions(
        max_num_seqs=args.max_num_seqs,
        max_num_batched_tokens=args.max_num_batched_tokens,
        enable_chunked_prefill=args.enable_chunked_prefill,
        max_num_queued_reqs=max(1, num_requests),
    )
    group = GroupSpec("full" if args.window is None else "window", args.window)
    return Scheduler(
        options,
        CacheLayout(args.num_blocks, args.block_size, (group,)),
        args.max_model_len,
        POLICIES[args.scheduling_policy](),
        enable_prefix_caching=args.enable_prefix_caching,
        depth=int(args.async_scheduling),
    )


def main(argv: list[str]) -> int:
    args = parser().parse_args(argv)
    try:
        trace = load_trace(args.trace, args.rate)
    except InferdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    cost = CostModel(**{field.name: getattr(args, field.name) for field in fields(CostModel)})
    report = simulate(scheduler_of(args, len(trace)), trace, cost)
    print(json.dumps(report.as_dict()) if args.json else report.table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
