"""What the offline benchmarks share: an LLM without a tokenizer, from the engine's flags."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from inferd.cli.bench.workload import Job
from inferd.config.engine import SECTIONS, EngineConfig
from inferd.config.flags import engine_config
from inferd.contracts.executor import WorkerInfo
from inferd.engine.outputs import RequestOutput

if TYPE_CHECKING:
    from inferd.engine.llm import LLM


def make_llm(args: argparse.Namespace) -> LLM:
    """Raises what LLM raises."""
    from inferd.engine.llm import LLM

    return LLM(**llm_options(args))


def llm_options(args: argparse.Namespace) -> dict[str, Any]:
    """The engine's flags as LLM takes them, in values that JSON has. Raises UsageError."""
    args.skip_tokenizer_init = True
    config = engine_config(args, args.model)
    options: dict[str, Any] = {}
    for section in SECTIONS:
        options |= getattr(config, section).model_dump(mode="json")
    return options


def generate(llm: LLM, jobs: list[Job]) -> tuple[float, list[RequestOutput]]:
    """Seconds, and one output per job; greedy, never stopping early."""
    from inferd.params import SamplingParams

    params = [
        SamplingParams(
            temperature=0.0, max_tokens=job.output_len, ignore_eos=True, detokenize=False
        )
        for job in jobs
    ]
    prompts = [job.prompt_ids for job in jobs]
    started = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    return time.perf_counter() - started, outputs


def setting(llm: LLM) -> dict[str, Any]:
    return described(llm.info, llm.config)


def described(info: WorkerInfo, config: EngineConfig) -> dict[str, Any]:
    """What a figure depends on, for the report."""
    import torch

    from inferd import __version__

    known = info.summary
    names = ("platform", "architecture", "dtype", "attention", "ops", "weight_bytes", "kv_bytes")
    return {
        "inferd": __version__,
        "torch": torch.__version__,
        "model": config.model.model,
        "threads": torch.get_num_threads(),
        **{name: known[name] for name in names if name in known},
    }


def setting_line(values: dict[str, Any]) -> str:
    return (
        f"{values['model']} {values['dtype']} on {values['architecture']}, "
        f"{values['threads']} threads, torch {values['torch']}, inferd {values['inferd']}"
    )
