"""A real engine with a steady set of requests, and torch's profiler around its steps."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.profiler import ProfilerActivity, profile

from inferd.cli.bench.offline import described
from inferd.cli.bench.profile import WARMUP, output_len
from inferd.cli.bench.step_plans import SAMPLING
from inferd.cli.bench.trace import busy, calls, read_events
from inferd.cli.bench.workload import draw
from inferd.config.engine import EngineConfig
from inferd.engine.engine import Engine
from inferd.engine.inputs import InputProcessor
from inferd.errors import UsageError
from inferd.host.host import Host


class SteadySteps:
    """Decodes; with `mixed`, every step also gets a new prompt of that many tokens.

    Raises what loading raises.
    """

    def __init__(self, config: EngineConfig, mixed: int, sampling: str) -> None:
        self._config, self._mixed = config, mixed
        self._params = SAMPLING[sampling]
        self._engine = Engine(config, Host.of(config.plugins))
        self._info = self._engine.start()
        self._scheduler = config.scheduler.preferring(self._info.scheduler)
        self._inputs = InputProcessor(self._info, None, [], random.Random(0))
        self._num_added = 0
        self.device = torch.device(self._info.summary["device"])

    def setting(self) -> dict[str, Any]:
        return described(self._info, self._config)

    def prefill(self, batch_size: int, input_len: int, num_iters: int) -> None:
        """Until every request has its first token, then some steps. Raises UsageError.

        Requests then decode for twice `num_iters` more.
        """
        num_output = output_len(
            batch_size, input_len, num_iters, self._scheduler.max_num_batched_tokens
        )
        self._check_room(batch_size, input_len + num_output)
        for _ in range(batch_size):
            self._add(input_len, num_output)
        seen: set[str] = set()
        while len(seen) < batch_size:
            seen |= {output.request_id for output in self._engine.step()}
        for _ in range(WARMUP):
            self.step()

    def step(self) -> None:
        if self._mixed:
            self._add(self._mixed, 1)
        self._engine.step()

    def timed(self, count: int) -> float:
        """Milliseconds per step, to the end of the device's work."""
        device = torch.get_device_module(self.device)
        device.synchronize()
        started = time.perf_counter()
        for _ in range(count):
            self.step()
        device.synchronize()
        return (time.perf_counter() - started) / count * 1e3

    def stop(self) -> None:
        self._engine.stop()

    def _add(self, num_prompt: int, num_output: int) -> None:
        (job,) = draw([(num_prompt, num_output)], self._info.vocab_size, self._num_added)
        params = msgspec.structs.replace(
            self._params,
            max_tokens=num_output,
            min_tokens=min(num_output, self._params.min_tokens),
            ignore_eos=True,
            detokenize=False,
        )
        self._engine.add(self._inputs.request(str(self._num_added), job.prompt_ids, params))
        self._num_added += 1

    def _check_room(self, batch_size: int, tokens: int) -> None:
        info = self._info
        rows = self._scheduler.max_num_seqs
        needed = batch_size + (2 if self._mixed else 0)
        if needed > rows:
            raise UsageError(f"{needed} sequences and --max-num-seqs {rows}: raise it")
        blocks = batch_size * -(-tokens // info.block_size) * len(info.groups)
        if blocks > info.num_blocks:
            raise UsageError(
                f"{batch_size} sequences of {tokens} tokens need {blocks} blocks of KV cache and "
                f"there are {info.num_blocks}: lower --batch-size or --input-len, or give it more "
                "with --kv-cache-memory-bytes"
            )


def profile_steps(steps: SteadySteps, count: int, trace: Path | None) -> dict[str, Any]:
    """Where the time of `count` steps goes; the trace is kept in the file `trace`."""
    free_ms = steps.timed(count)
    on_host = steps.device.type == "cpu"
    with _profiler(on_host) as profiler:
        profiled_ms = steps.timed(count)
    values = {"ms_per_step": round(free_ms, 4), "profiled_ms_per_step": round(profiled_ms, 4)}
    with tempfile.TemporaryDirectory() as folder:
        path = trace or Path(folder) / "trace.json"
        if trace is not None or not on_host:
            profiler.export_chrome_trace(str(path))
        if on_host:
            return values | _operators(profiler, count)
        events = read_events(path)
    return values | busy(events) | calls(events, count, profiled_ms)


def _profiler(on_host: bool) -> profile:
    """Operators are recorded on a CPU only: they would slow the host that feeds a GPU."""
    if not on_host:
        return profile(activities=[ProfilerActivity.CUDA], acc_events=True)
    every = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)  # the worker's too
    return profile(activities=[ProfilerActivity.CPU], acc_events=True, experimental_config=every)


def _operators(profiler: profile, steps: int) -> dict[str, Any]:
    """Each operator's own time, without that of operators inside it; most first."""
    rows = [
        {
            "name": event.key,
            "calls": round(event.count / steps, 2),
            "us": round(event.self_cpu_time_total / steps, 2),
        }
        for event in profiler.key_averages()
    ]
    rows.sort(key=lambda row: -row["us"])
    total = sum(row["us"] for row in rows) / 1e3
    return {"operators_ms_per_step": round(total, 4), "operators": rows}
