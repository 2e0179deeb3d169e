"""inferd chat: talk with a model in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import itertools

from inferd.cli.run import add_sampling_flags, sampling_params
from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command
from inferd.engine.async_engine import AsyncEngine
from inferd.errors import RequestError
from inferd.params import SamplingParams

HELP = "a message, /reset to start over, /quit or Ctrl-D to leave; Ctrl-C stops an answer"


class ChatCommand(Command):
    """History is kept and its KV is found in the prefix cache, so turns answer at once."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", default="smollm2")
        parser.add_argument("--system", default=None, help="a system message")
        add_sampling_flags(parser)
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        return asyncio.run(_chat(args))


async def _chat(args: argparse.Namespace) -> int:
    engine = AsyncEngine(engine_config(args, args.model))
    await engine.start()
    try:
        params = sampling_params(args, engine.generation_config)
        print(HELP)
        await _turns(engine, params, args.system)
    finally:
        await engine.stop()
    return 0


async def _turns(engine: AsyncEngine, params: SamplingParams, system: str | None) -> None:
    opening = [{"role": "system", "content": system}] if system else []
    history = list(opening)
    for number in itertools.count():
        try:
            line = (await asyncio.to_thread(input, "> ")).strip()
        except EOFError:
            return
        if line == "/quit":
            return
        if line == "/reset":
            history = list(opening)
        elif line:
            history.append({"role": "user", "content": line})
            answer = await _answer(engine, params, history, f"chat-{number}")
            history.append({"role": "assistant", "content": answer})


async def _answer(
    engine: AsyncEngine, params: SamplingParams, history: list[dict[str, str]], name: str
) -> str:
    assert engine.tokenizer is not None
    text = engine.tokenizer.apply_chat_template(history)
    ids = engine.tokenizer.encode(text, add_special_tokens=False)
    answer = ""
    try:
        async for news in engine.generate(ids, params, name):
            answer += news.outputs[0].text
            print(news.outputs[0].text, end="", flush=True)
    except RequestError as error:
        print(f"inferd: {error}", end="")
    print()
    return answer
