"""AsyncEngine: the engine's face for servers. One per front-end process; never imports torch."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from inferd.config.engine import EngineConfig
from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.engine.answers import Answers
from inferd.engine.client import EngineClient
from inferd.engine.front import Front, load_front
from inferd.engine.grammar_gate import GrammarGate
from inferd.engine.inputs import InputProcessor
from inferd.engine.outputs import RequestOutput
from inferd.engine.streams import Stream, Streams
from inferd.errors import EngineDead, InferdError, RequestError
from inferd.host.host import Host
from inferd.params import SamplingParams
from inferd.types import StepStats

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer

TURN_S = 0.01  # of taking outputs, before those who wait for them run


class AsyncEngine:
    """Requests in, streams of RequestOutput out; the engine runs in its own process.

    `address` joins a running engine as a further front end instead of starting one, under a `name`
    that no other has. With `watched` the engine it starts kills this process when its loop has not
    turned for 15 seconds: for servers that somebody starts again.
    """

    def __init__(
        self,
        config: EngineConfig,
        address: str | None = None,
        name: str | None = None,
        *,
        watched: bool = False,
    ) -> None:
        self.config = config
        self.tokenizer: Tokenizer | None = None
        self.generation_config: dict[str, Any] = {}
        self.answers = Answers()
        self.stats = StepStats()
        self.error: InferdError | None = None
        self.info: WorkerInfo
        self._client = EngineClient(config, address, name, watched=watched)
        self._inputs: InputProcessor
        self._gate: GrammarGate | None = None
        self._streams = Streams(self._client.name)
        self._tasks: list[asyncio.Task[None]] = []
        self._dead = asyncio.Event()
        self._stopping = False
        self._heard = 0.0  # when the engine last said something; monotonic seconds

    async def start(self) -> None:
        """Load the tokenizer here and the model there; raises any InferdError of either."""
        loading = asyncio.create_task(self._client.start())
        try:
            front = await asyncio.to_thread(load_front, self.config.model)
            host = await asyncio.to_thread(Host.of, self.config.plugins)
            self.answers = await asyncio.to_thread(self._choose_answers, front, host)
            self.info = await loading
        except BaseException:
            loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, InferdError):
                await loading
            await self._client.stop(0)
            raise
        self.tokenizer, self.generation_config = front.tokenizer, front.generation_config
        self._inputs = InputProcessor(
            self.info, front.tokenizer, front.eos_ids, random.SystemRandom()
        )
        self._gate = GrammarGate(self.config, self.info.vocab_size, host.catalog.grammars.names)
        self._tasks = [
            asyncio.create_task(self._receive()),
            asyncio.create_task(self._watch()),
        ]

    def _choose_answers(self, front: Front, host: Host) -> Answers:
        if front.tokenizer is None:
            return Answers()
        return Answers.choose(host.catalog, self.config.plugins, front.tokenizer.chat_format)

    @property
    def address(self) -> str:
        """Where further front ends connect."""
        return self._client.address

    @property
    def alive(self) -> bool:
        return bool(self._tasks) and not self._dead.is_set()

    @property
    def num_unfinished(self) -> int:
        return len(self._streams)

    @property
    def silent_s(self) -> float:
        """Seconds since the last word of the engine, while requests are open; else 0."""
        return time.monotonic() - self._heard if self._streams else 0.0

    async def wait_dead(self) -> None:
        """Returns when the engine process has died on its own."""
        await self._dead.wait()

    async def generate(
        self,
        prompt: str | list[int],
        params: SamplingParams,
        request_id: str,
        *,
        priority: int = 0,
        cache_salt: str = "",
    ) -> AsyncIterator[RequestOutput]:
        """What is new since the last output was read. Closing the iterator aborts the request.

        Raises RequestError before the first output, EngineDead when the engine is gone.
        """
        if self.error is not None:
            raise self.error
        if params.structured_outputs is not None:
            assert self._gate is not None, "generate before start"
            await self._gate.check(params.structured_outputs)
        request = self._inputs.request(
            request_id,
            prompt,
            params,
            priority=priority,
            cache_salt=cache_salt,
            arrival=time.monotonic(),
        )
        text = prompt if isinstance(prompt, str) else None
        if not self._streams:
            self._heard = time.monotonic()
        stream = self._streams.open(request, text, self.tokenizer)
        try:
            self._client.send(m.Add(msgspec.structs.replace(request, request_id=stream.engine_id)))
            while True:
                news = await stream.unread.get()
                yield news
                if news.finished:
                    return
        finally:
            await self._close(stream)

    async def _close(self, stream: Stream) -> None:
        """Forget a stream, and have the engine forget what still runs of it."""
        self._streams.close(stream)
        if not stream.state.finished and self.error is None:
            self._client.send(m.Abort(stream.engine_id))

    async def reset_prefix_cache(self) -> None:
        self._client.send(m.ResetPrefixCache())

    async def stop(self, timeout: float = 5.0) -> None:
        """End the engine process; open streams raise EngineDead."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        self._fail(EngineDead("the engine was stopped"))
        if self._gate is not None:
            await self._gate.stop()
        await self._client.stop(timeout)

    async def _receive(self) -> None:
        """Messages that wait already are taken together, as far as TURN_S goes: callers then find
        several steps in one output. Without a pause they would never get to run.
        """
        turn = time.monotonic()
        async for message in self._client.receive():
            await self._take(message)
            if time.monotonic() - turn > TURN_S:
                await asyncio.sleep(0)
                turn = time.monotonic()

    async def _take(self, message: m.ToFrontEnd) -> None:
        self._heard = time.monotonic()
        if isinstance(message, m.Outputs):
            self.stats = message.stats
            for output in message.outputs:
                if self._streams.deliver(output):
                    self._client.send(m.Abort(output.request_id, output.index))
        elif isinstance(message, m.Refused):
            refusal = RequestError(message.message, message.param, message.code)
            self._streams.refuse(message.request_id, refusal)
        elif isinstance(message, m.Failed):
            self._fail(EngineDead(message.message))

    async def _watch(self) -> None:
        await self._client.wait_dead()
        if not self._stopping:
            self._fail(EngineDead("the engine process died; start the server again"))
            self._dead.set()

    def _fail(self, error: InferdError) -> None:
        self.error = self.error or error
        self._streams.fail(self.error)
