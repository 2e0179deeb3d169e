"""inferd run: answer one prompt on standard output."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from inferd.config.engine import EngineConfig
from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command
from inferd.errors import InferdError, UsageError
from inferd.params import SamplingParams

if TYPE_CHECKING:
    from inferd.engine.async_engine import AsyncEngine
    from inferd.engine.outputs import CompletionOutput

Message = dict[str, str]
FLAGS = ("temperature", "top_p", "top_k", "max_tokens")
FROM_CHECKPOINT = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
CALM = {"temperature": 0.7, "top_p": 0.9}  # in a terminal, for checkpoints that name no temperature


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Sampling of `run` and `chat`; their --seed is the engine's."""
    group = parser.add_argument_group("sampling options")
    group.add_argument(
        "--temperature",
        type=float,
        help="0: always the likeliest token (default: the checkpoint's, else 0.7)",
    )
    group.add_argument("--top-p", type=float, help="sample from the likeliest tokens of this share")
    group.add_argument("--top-k", type=int, help="sample from so many of the likeliest tokens")
    group.add_argument("--max-tokens", type=int, default=512, help="of an answer (default: 512)")


def sampling_params(
    args: argparse.Namespace, config: EngineConfig, defaults: dict[str, Any]
) -> SamplingParams:
    """Flags, else the checkpoint's `defaults`, else CALM. Raises RequestError."""
    chosen = {name: defaults[name] for name in FROM_CHECKPOINT if defaults.get(name) is not None}
    if "temperature" not in chosen:
        chosen = CALM | chosen
    chosen |= {name: value for name in FLAGS if (value := getattr(args, name)) is not None}
    if "seed" in config.model.model_fields_set:
        chosen["seed"] = config.model.seed
    return SamplingParams(**chosen)


def messages_of(args: argparse.Namespace) -> list[Message]:
    """The conversation before the user's first message."""
    return [{"role": "system", "content": args.system}] if args.system else []


def loading(model: str) -> contextlib.AbstractContextManager[Any]:
    """A spinner on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"loading {model} ...")


def check_sample(sample: CompletionOutput) -> None:
    """Raises InferdError for a sample that failed inside the engine."""
    if sample.finish_reason == "error":
        raise InferdError(f"the answer ended: {sample.error}")


class RunCommand(Command):
    """Chat models get the prompt as a user's message; --raw gives it as it is."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", help="a directory, a .gguf file, a hub id or an alias")
        parser.add_argument("prompt", nargs="?", help="default: standard input")
        parser.add_argument("--system", help="a system message")
        parser.add_argument("--raw", action="store_true", help="no chat template")
        parser.add_argument("--json", action="store_true", help="one JSON object with counts")
        add_sampling_flags(parser)
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        config = engine_config(args, args.model)
        sampling_params(args, config, {})  # before the model is loaded
        return asyncio.run(_answer(args, config, _prompt(args)))


def _prompt(args: argparse.Namespace) -> str:
    prompt: str | None = args.prompt
    if prompt is None and sys.stdin.isatty():
        raise UsageError(
            f'give a prompt: inferd run {args.model} "..."\n'
            f"  or pipe one in; inferd chat {args.model} talks"
        )
    if prompt is None:
        prompt = sys.stdin.read()
    if not prompt.strip():
        raise UsageError("the prompt is empty; give one, or pipe one in")
    return prompt


async def _answer(args: argparse.Namespace, config: EngineConfig, prompt: str) -> int:
    from inferd.engine.async_engine import AsyncEngine

    began = time.monotonic()
    engine = AsyncEngine(config)
    with loading(args.model):
        await engine.start()
    try:
        report = await _generate(engine, args, prompt)
    finally:
        await engine.stop()
    if args.json:
        report |= {"model": args.model, "seconds": round(time.monotonic() - began, 3)}
        print(json.dumps(report))
    elif report["finish_reason"] == "length" and sys.stderr.isatty():
        print(f"(cut off after {report['completion_tokens']} tokens)", file=sys.stderr)
    return 0


async def _generate(engine: AsyncEngine, args: argparse.Namespace, prompt: str) -> dict[str, Any]:
    """Print the answer as it comes, unless it is to be JSON."""
    ids = _token_ids(engine, args, prompt)
    params = sampling_params(args, engine.config, engine.generation_config)
    pieces, count, num_prompt_tokens, reason = [], 0, 0, None
    async for news in engine.generate(ids, params, "run"):
        sample = news.outputs[0]
        check_sample(sample)
        pieces.append(sample.text)
        count += len(sample.token_ids)
        num_prompt_tokens, reason = len(news.prompt_token_ids), sample.finish_reason
        if not args.json:
            print(sample.text, end="", flush=True)
    if not args.json:
        print()
    return {
        "text": "".join(pieces),
        "finish_reason": reason,
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": count,
    }


def _token_ids(engine: AsyncEngine, args: argparse.Namespace, prompt: str) -> str | list[int]:
    tokenizer = engine.tokenizer
    if tokenizer is None or not tokenizer.has_chat_template or args.raw:
        return prompt
    messages = [*messages_of(args), {"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages)
    return tokenizer.encode(text, add_special_tokens=False)
