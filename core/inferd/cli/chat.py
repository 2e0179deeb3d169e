"""inferd chat: talk with a model in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import threading
from collections.abc import Coroutine
from typing import Any, Self

from inferd.cli.run import (
    Message,
    add_sampling_flags,
    check_sample,
    loading,
    messages_of,
    sampling_params,
)
from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command
from inferd.engine.async_engine import AsyncEngine
from inferd.errors import ContextTooLong, RequestError, UsageError
from inferd.params import SamplingParams

HELP = "/reset starts over, /quit or Ctrl-D leaves, Ctrl-C stops an answer"


class ChatCommand(Command):
    """History is kept and its KV is found in the prefix cache, so turns answer at once."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", default="smollm2")
        parser.add_argument("--system", help="a system message")
        add_sampling_flags(parser)
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        config = engine_config(args, args.model)
        sampling_params(args, config, {})  # before the model is loaded
        with _Engine(config) as engine:
            with loading(args.model):
                engine.wait(engine.start())
            params = sampling_params(args, config, engine.generation_config)
            _Conversation(engine, params, messages_of(args)).talk()
        return 0


class _Engine(AsyncEngine):
    """An engine whose event loop has a thread of its own: the main one reads lines and Ctrl-C."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wait(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it on the loop; a Ctrl-C cancels it there, and is raised when it has ended."""
        ended = threading.Event()

        async def watched() -> None:
            try:
                await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._loop)
        try:
            future.result()
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(5)
            raise


class _Conversation:
    def __init__(self, engine: _Engine, params: SamplingParams, opening: list[Message]) -> None:
        if engine.tokenizer is None or not engine.tokenizer.has_chat_template:
            raise UsageError("this model has no chat template; use: inferd run MODEL PROMPT --raw")
        self._engine = engine
        self._tokenizer = engine.tokenizer
        self._params = params
        self._opening = opening
        self._history = list(opening)
        self._numbers = itertools.count()

    def talk(self) -> None:
        """Until /quit or the end of the input."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() editing and history
        if sys.stdin.isatty():
            print(HELP)
        for line in iter(_line, None):
            if line == "/quit":
                return
            if line == "/reset":
                self._history = list(self._opening)
            elif line.startswith("/"):
                print(HELP)
            elif line:
                self._turn(line)

    def _turn(self, line: str) -> None:
        """One question and its answer; what was said before a Ctrl-C stays said."""
        self._history.append({"role": "user", "content": line})
        pieces: list[str] = []
        try:
            self._engine.wait(self._answer(pieces))
        except KeyboardInterrupt:
            print(" (stopped)", end="")
        except RequestError as error:
            hint = "; /reset starts over" if isinstance(error, ContextTooLong) else ""
            print(f"inferd: {error}{hint}", file=sys.stderr)
        print()
        if pieces:
            self._history.append({"role": "assistant", "content": "".join(pieces)})
        else:
            self._history.pop()

    async def _answer(self, pieces: list[str]) -> None:
        text = self._tokenizer.apply_chat_template(self._history)
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        name = f"chat-{next(self._numbers)}"
        async for news in self._engine.generate(ids, self._params, name):
            check_sample(news.outputs[0])
            pieces.append(news.outputs[0].text)
            print(news.outputs[0].text, end="", flush=True)


def _line() -> str | None:
    """None at the end of the input; Ctrl-C drops a half-typed line."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except KeyboardInterrupt:
        print()
        return ""
    except EOFError:
        if sys.stdin.isatty():
            print()
        return None
