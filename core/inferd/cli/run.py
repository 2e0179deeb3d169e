"""inferd run: answer one prompt on standard output."""

from __future__ import annotations

import argparse
import asyncio
import sys

from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command
from inferd.errors import UsageError
from inferd.params import SamplingParams


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Sampling of `run` and `chat`."""
    parser.add_argument("--temperature", type=float, default=None)
    parser.add_argument("--top-p", type=float, default=None)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--seed-request", type=int, default=None, help="seed of this request")


def sampling_params(args: argparse.Namespace, defaults: dict[str, object]) -> SamplingParams:
    """Flags, else the checkpoint's generation_config, else inferd's defaults."""
    chosen: dict[str, object] = {"max_tokens": args.max_tokens, "seed": args.seed_request}
    for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
        value = getattr(args, name, None)
        value = defaults.get(name) if value is None else value
        if value is not None:
            chosen[name] = value
    return SamplingParams(**chosen)  # type: ignore[arg-type]


class RunCommand(Command):
    """Chat models get the prompt as a user's message; --raw gives it as it is."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", help="a directory, a .gguf file, a hub id or an alias")
        parser.add_argument("prompt", nargs="?", help="default: standard input")
        parser.add_argument("--raw", action="store_true", help="no chat template")
        add_sampling_flags(parser)
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        prompt = args.prompt if args.prompt is not None else sys.stdin.read()
        if not prompt.strip():
            raise UsageError("the prompt is empty; give one, or pipe one in")
        return asyncio.run(_answer(args, prompt))


async def _answer(args: argparse.Namespace, prompt: str) -> int:
    from inferd.engine.async_engine import AsyncEngine

    engine = AsyncEngine(engine_config(args, args.model))
    await engine.start()
    try:
        ids: str | list[int] = prompt
        tokenizer = engine.tokenizer
        if tokenizer is not None and tokenizer.has_chat_template and not args.raw:
            text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}])
            ids = tokenizer.encode(text, add_special_tokens=False)
        params = sampling_params(args, engine.generation_config)
        async for news in engine.generate(ids, params, "run"):
            print(news.outputs[0].text, end="", flush=True)
        print()
    finally:
        await engine.stop()
    return 0
