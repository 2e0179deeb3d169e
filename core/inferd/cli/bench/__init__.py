"""inferd bench: what there is to measure. Only the chosen word is imported."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from inferd.cli.bench.report import Report
from inferd.contracts.command import Command
from inferd.errors import UsageError

WORDS = {
    "throughput": "offline: tokens per second, KV use, preemptions, prefix hits",
    "latency": "offline: one batch; first token, time per step, its growth with the context",
    "serve": "drive an OpenAI-compatible server: TTFT, TPOT, ITL, E2EL, goodput",
    "startup": "process start to first token, by phase; how fast the command line answers",
    "roofline": "rates of this device; each kernel of a step, and the step, beside them",
    "profile": "a trace of steady steps: busy device, gaps, host, top kernels or operators",
    "step": "one step of the worker: time by phase, torch calls by op and by layer",
}
WITH_PAGE = ("throughput", "latency", "serve", "startup", "roofline")  # pages.PAGES


class BenchCommand(Command):
    """Each word is a module with `add_flags` and `run`, which returns a Report."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        words = parser.add_subparsers(dest="word", metavar="|".join(WORDS))
        for word, summary in WORDS.items():
            each = words.add_parser(word, help=summary, description=summary, allow_abbrev=False)
            each.add_argument("--model", default="smollm2", help="a directory, .gguf, id or alias")
            each.add_argument("--json", action="store_true", help="one JSON object")
            if word in WITH_PAGE:
                each.add_argument("--html", type=Path, metavar="FILE", help="a report with charts")
            _module(word).add_flags(each)

    def run(self, args: argparse.Namespace) -> int:
        if args.word is None:
            raise UsageError(f"say what to measure: inferd bench {'|'.join(WORDS)}")
        page: Path | None = getattr(args, "html", None)
        if page is not None and not page.parent.is_dir():  # said before anything is measured
            raise UsageError(f"--html {page}: there is no folder {page.parent}")
        report: Report = _module(args.word).run(args)
        if page is not None:
            _write_page(page, args.word, report)
        print(json.dumps(report.values) if args.json else report.text, flush=True)
        for complaint in report.complaints:
            print(f"inferd bench: {complaint}", file=sys.stderr)
        return 3 if report.complaints else 0


def _write_page(path: Path, word: str, report: Report) -> None:
    from inferd.cli.bench.html import write_page
    from inferd.cli.bench.pages import PAGES

    write_page(path, PAGES[word](report.values), report)


def _module(word: str) -> Any:
    return import_module(f"inferd.cli.bench.{word}")
