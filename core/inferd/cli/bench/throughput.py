"""inferd bench throughput: a batch through the offline LLM."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from inferd.cli.bench.offline import generate, make_llm, setting, setting_line
from inferd.cli.bench.report import Report, pairs
from inferd.cli.bench.workload import Job, add_workload_flags, jobs_of
from inferd.config.flags import add_engine_flags

if TYPE_CHECKING:
    from inferd.engine.llm import LLM

SAMPLE_S = 0.01  # how often the counters are read
MOST_POINTS = 200  # of them in the report
Seen = tuple[float, int, int, int, int]  # seconds; blocks used, running, waiting, tokens computed


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workload_flags(parser, num_prompts=64)
    parser.add_argument("--num-warmup", type=int, default=1, help="short requests beforehand")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    with make_llm(args) as llm:
        jobs = jobs_of(args, llm.info.vocab_size, llm.config.model.seed)
        generate(llm, [Job(job.prompt_ids[:8], 2) for job in jobs[: args.num_warmup]])
        llm.reset_prefix_cache()
        values = {**setting(llm), **measure(llm, jobs)}
    return Report(values, text(values))


@dataclass(slots=True)
class Watch:
    """Context manager: the engine's counters over time, read from a thread."""

    llm: LLM
    seen: list[Seen] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        started = time.perf_counter()
        while not self._end.wait(SAMPLE_S):
            now = self.llm.stats()
            seconds = time.perf_counter() - started
            seen = (seconds, now.num_blocks_used, now.num_running, now.num_waiting, now.num_tokens)
            self.seen.append(seen)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join()

    def kv_use(self, num_blocks: int) -> tuple[float, float]:
        """Peak and mean; a batch that was over before the first look used nothing."""
        used = [seen[1] / num_blocks for seen in self.seen] or [0.0]
        return round(max(used), 4), round(statistics.fmean(used), 4)

    def timeline(self, num_blocks: int) -> list[dict[str, float]]:
        """At most MOST_POINTS moments; tokens per second are those since the one before."""
        kept = self.seen[:: -(-len(self.seen) // MOST_POINTS) or 1]
        return [
            {
                "seconds": round(now[0], 3),
                "kv_use": round(now[1] / num_blocks, 4),
                "running": now[2],
                "waiting": now[3],
                "tokens_per_s": round((now[4] - before[4]) / (now[0] - before[0]), 1),
            }
            for before, now in pairwise(kept)
        ]


def measure(llm: LLM, jobs: list[Job]) -> dict[str, Any]:
    """Run the jobs once; counters are those of this run."""
    import copy

    before = copy.copy(llm.stats())
    with Watch(llm) as watch:
        seconds, outputs = generate(llm, jobs)
    after = llm.stats()
    num_in = sum(len(job.prompt_ids) for job in jobs)
    num_out = sum(len(output.outputs[0].token_ids) for output in outputs)
    blocks = llm.info.num_blocks
    peak, mean = watch.kv_use(blocks)
    return {
        "seconds": round(seconds, 4),
        "requests": len(jobs),
        "prompt_tokens": num_in,
        "output_tokens": num_out,
        "output_tokens_per_s": round(num_out / seconds, 2),
        "total_tokens_per_s": round((num_in + num_out) / seconds, 2),
        "requests_per_s": round(len(jobs) / seconds, 3),
        "steps": after.num_steps - before.num_steps,
        "kv_blocks": blocks,
        "kv_use_peak": peak,
        "kv_use_mean": mean,
        "preemptions": after.num_preemptions - before.num_preemptions,
        "prefix_hit_tokens": after.prefix_hits - before.prefix_hits,
        "prefix_queried_tokens": after.prefix_queries - before.prefix_queries,
        "timeline": watch.timeline(blocks),
    }


def text(values: dict[str, Any]) -> str:
    hits, asked = values["prefix_hit_tokens"], values["prefix_queried_tokens"]
    share = f"{hits / asked:.1%}" if asked else "nothing looked up"
    kv_use = (
        f"peak {values['kv_use_peak']:.1%}, mean {values['kv_use_mean']:.1%} "
        f"of {values['kv_blocks']:,} blocks"
    )
    rows = [
        ("requests", f"{values['requests']} in {values['seconds']:.2f} s"),
        ("tokens", f"{values['prompt_tokens']:,} in, {values['output_tokens']:,} out"),
        ("output", f"{values['output_tokens_per_s']:,.1f} tok/s"),
        ("total", f"{values['total_tokens_per_s']:,.1f} tok/s"),
        ("requests", f"{values['requests_per_s']:.2f} per s"),
        ("steps", f"{values['steps']:,}"),
        ("KV use", kv_use),
        ("preemptions", str(values["preemptions"])),
        ("prefix hits", f"{hits:,} of {asked:,} prompt tokens ({share})"),
    ]
    return pairs(f"throughput: {setting_line(values)}", rows)
