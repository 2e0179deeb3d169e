"""Generation: what every dialect asks of the engine, and the one way to run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from inferd.engine.answers import AnswerParser
from inferd.engine.outputs import CompletionOutput, RequestOutput
from inferd.errors import RequestError
from inferd.params import SamplingParams
from inferd_server.answering import SampleReader
from inferd_server.caller import CALLER
from inferd_server.errors import BUSY, DO_NOT_RETRY, ApiError
from inferd_server.service import Service
from inferd_server.shared import Row
from inferd_server.timing import Timing

Numbered = tuple[int, RequestOutput]  # which prompt, what is new


@dataclass(frozen=True, slots=True)
class Generation:
    """Prompts that share their sampling parameters."""

    request_id: str
    model: str
    prompts: list[list[int]]
    params: SamplingParams
    field: str  # where the prompt stands in the client's body, for errors
    structure_field: str = "structured_outputs"  # likewise
    priority: int = 0
    cache_salt: str = ""
    operation: str = "chat"  # what traces call it
    prompt_only: bool = False  # the engine makes a token at least; it is dropped
    make_parser: Callable[[], AnswerParser] | None = None  # of each sample; None: text is content
    parallel_calls: bool = True
    notes: tuple[str, ...] = ()  # what of it has no effect, fit for a header

    def reader(self) -> SampleReader:
        """For one sample."""
        return SampleReader(self.make_parser, parallel=self.parallel_calls)


async def run(service: Service, generation: Generation) -> AsyncGenerator[Numbered, None]:
    """Outputs of all prompts as they come; closing the generator aborts what still runs.

    Raises RequestError before the first output; EngineDead, or ApiError for a failed sample, at
    any time.
    """
    streams = [_one(service, generation, at) for at in range(len(generation.prompts))]
    source = streams[0] if len(streams) == 1 else _merged(streams)
    async with aclosing(source):
        async for item in source:
            yield item


async def _one(service: Service, generation: Generation, at: int) -> AsyncGenerator[Numbered, None]:
    prompt = generation.prompts[at]
    timing = Timing(service.metrics, len(prompt), time.monotonic())
    service.metrics.asked(generation.params)
    service.seat.shared.add(Row.REQUESTS, 1)
    outputs = service.engine.generate(
        prompt,
        generation.params,
        f"{generation.request_id}-{at}",
        priority=CALLER.get().priority(generation.priority),
        cache_salt=generation.cache_salt,
    )
    async with aclosing(_generator(outputs)) as stream:
        try:
            async for output in stream:
                for sample in output.outputs:
                    _check(sample)
                    timing.record(sample, output.began)
                    if generation.prompt_only:
                        _drop(sample)
                yield at, output
        except RequestError as error:
            places = {"prompt": generation.field, "structured_outputs": generation.structure_field}
            error.param = places.get(error.param or "", error.param)
            raise
        finally:
            service.seat.shared.add(Row.REQUESTS, -1)
            if service.tracer is not None:
                service.tracer.record(generation, timing)


def _generator(outputs: AsyncIterator[RequestOutput]) -> AsyncGenerator[RequestOutput, None]:
    """`generate` is an async generator, though its annotation only promises an iterator."""
    assert isinstance(outputs, AsyncGenerator)
    return outputs


def _check(sample: CompletionOutput) -> None:
    if sample.finish_reason in ("error", "abort"):
        text = sample.error or "the request was aborted inside the engine"
        if sample.error_code is not None:
            raise ApiError(503, text, code=sample.error_code, headers=BUSY)
        raise ApiError(500, text, code="server_error", headers=DO_NOT_RETRY)


def _drop(sample: CompletionOutput) -> None:
    sample.text, sample.token_ids = "", []
    sample.logprobs = sample.logprobs and []
    sample.finish_reason, sample.stop_reason = "length", None


async def _merged(streams: list[AsyncGenerator[Numbered, None]]) -> AsyncGenerator[Numbered, None]:
    """Items of all streams as they come; the first exception ends all of them."""
    queue: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(maxsize=1)

    async def pump(stream: AsyncGenerator[Numbered, None]) -> None:
        try:
            async with aclosing(stream):
                async for item in stream:
                    await queue.put(item)
            await queue.put(None)
        except Exception as error:
            await queue.put(error)

    tasks = [asyncio.create_task(pump(stream)) for stream in streams]
    open_streams = len(tasks)
    try:
        while open_streams:
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                open_streams -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
