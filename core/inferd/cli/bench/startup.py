"""inferd bench startup: from the process's start to the first token, by phase; the command line."""

from __future__ import annotations

import argparse
from typing import Any

from inferd.cli.bench.command_line import measure_commands
from inferd.cli.bench.offline import llm_options, setting_line
from inferd.cli.bench.report import Report, pairs, table
from inferd.cli.bench.startup_run import measure_starts
from inferd.config.flags import add_engine_flags
from inferd.errors import UsageError

PHASES = {
    "python": "python and the first import",
    "torch": "import torch",
    "device": "device",
    "weights": "model and weights",
    "workspace": "a step, for what it compiles and its memory",
    "kv_cache": "KV cache",
    "warm_up": "compiling and first runs",
    "recording": "recording steps",
    "engine": "the engine's rest",
    "first_token": "the first request",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("starts")
    group.add_argument(
        "--cold",
        action="store_true",
        help="kernels in an empty cache of the benchmark's own, and the start that fills it",
    )
    group.add_argument("--num-iters", type=int, default=3, help="starts; the median is reported")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if args.num_iters < 1:
        raise UsageError("--num-iters must be at least 1")
    values = measure_starts(llm_options(args), args.num_iters, cold=args.cold)
    values["command_line"] = measure_commands(args.num_iters)
    return Report(values, text(values))


def text(values: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"startup: {setting_line(values)}",
            _phases(values),
            pairs("", _totals(values)),
            "",
            table(["command line, ms", "least", "median", "limit"], _commands(values)),
        ]
    )


def _phases(values: dict[str, Any]) -> str:
    columns = {"warm": values["phases_s"]}
    if "cold_phases_s" in values:
        columns["cold"] = values["cold_phases_s"]
    rows = [
        [PHASES[name], *(f"{phases[name]:.3f}" for phases in columns.values())]
        for name in values["phases_s"]
    ]
    return table(["seconds", *columns], rows)


def _totals(values: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("first token", f"{values['first_token_s']:.2f} s after the process's start"),
        ("over torch and device", f"{values['over_torch_s']:.2f} s"),
    ]
    if "cold_first_token_s" in values:
        rows.append(("cold", f"{values['cold_first_token_s']:.2f} s with no compiled kernel"))
        rows.append(("cold over warm", f"{values['cold_over_warm_s']:.2f} s"))
    return rows


def _commands(values: dict[str, Any]) -> list[list[str]]:
    rows = []
    for row in values["command_line"]:
        limit = "" if row["limit_ms"] is None else str(row["limit_ms"])
        missed = " MISSED" if row["holds"] is False else ""
        rows.append([row["name"], f"{row['min_ms']}", f"{row['median_ms']}", limit + missed])
    return rows
