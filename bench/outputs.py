"""What a step's outputs cost on their way from the engine to those who wait for them.

    python -m bench.outputs [--sizes 64 512] [--repeats 300] [--json]

One token each for as many sequences: the engine's loop sorts them by front end and writes one
message; the front end reads it, makes text of the ids and hands it to each stream. Microseconds
per step, the median of the repeats, on one thread each. Run it from the root of the repository.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from bench.gpu.shapes import PROMPT_IDS, write_model

from inferd.config.engine import EngineConfig
from inferd.config.paths import cache_dir
from inferd.contracts.executor import WorkerInfo
from inferd.engine import messages as m
from inferd.engine.front import load_front
from inferd.engine.loop import EngineLoop
from inferd.engine.outputs import RequestOutput
from inferd.engine.streams import Stream, Streams
from inferd.params import SamplingParams
from inferd.types import Request, SequenceOutput, StepStats

PARTS = ("engine: sort and write", "front end: read", "front end: text and streams")
INFO = WorkerInfo(4096, 1280, 1000, 16, (("full", None),), {})


class Socket:
    """Keeps the last message."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send_multipart(self, frames: list[bytes]) -> None:
        self.sent = frames


class Path:
    """An engine's loop and a front end with `size` streams between them."""

    def __init__(self, size: int) -> None:
        model = write_model("tiny", cache_dir() / "bench" / "shape-tiny")
        tokenizer = load_front(EngineConfig.of(str(model)).model).tokenizer
        engine: Any = SimpleNamespace(stats=StepStats, add=lambda _: None)
        self._socket: Any = Socket()
        self._loop = EngineLoop(engine, INFO, self._socket, parent=0)
        self._streams = Streams("front")
        self.streams: list[Stream] = []
        for i in range(size):
            params = SamplingParams(max_tokens=4000)
            request = Request(request_id=f"r{i}", prompt_ids=[i % 900], params=params, seed=i)
            stream = self._streams.open(request, None, tokenizer)
            self.streams.append(stream)
            request.request_id = stream.engine_id
            self._loop._add(b"front", m.Add(request))

    def step(self, number: int) -> list[float]:
        """Microseconds by part."""
        tokens = PROMPT_IDS["tiny"]
        outputs = [
            SequenceOutput(stream.engine_id, 0, [(7 * i + number) % tokens])
            for i, stream in enumerate(self.streams)
        ]
        times = [time.perf_counter()]
        self._loop._send(outputs)
        times.append(time.perf_counter())
        message = m.decode_to_front_end(self._socket.sent[1])
        times.append(time.perf_counter())
        assert isinstance(message, m.Outputs)
        for output in message.outputs:
            self._streams.deliver(output)
        times.append(time.perf_counter())
        return [(later - before) * 1e6 for before, later in pairwise(times)]

    async def read(self) -> list[RequestOutput]:
        """As the callers do, so that the next step finds nothing unread."""
        return [await stream.unread.get() for stream in self.streams]


def measure(size: int, repeats: int) -> dict[str, float]:
    path, steps = Path(size), []
    for number in range(repeats):
        steps.append(path.step(number))
        asyncio.run(path.read())
    return dict(zip(PARTS, map(statistics.median, zip(*steps, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.outputs", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {size: measure(size, args.repeats) for size in args.sizes}
    if args.json:
        print(json.dumps(found))
        return
    print(f"{'us per step':<30}" + "".join(f"{size:>8}" for size in found))
    for part in PARTS:
        print(f"{part:<30}" + "".join(f"{found[size][part]:>8.0f}" for size in found))


if __name__ == "__main__":
    main()
