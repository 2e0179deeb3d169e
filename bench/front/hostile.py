"""Schemas that take too much, asked for at a steady rate by a process of their own: each line on
standard input, {"rate": a second, "seconds": S}, is answered by a line with statuses and times.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count, cycle, islice
from typing import Any

import httpx
from bench.front.replies import percentiles

SCHEMAS: list[Any] = [
    '{"items":' * 10_000 + '{"title": "NUMBER"}' + "}" * 10_000,
    {"title": "NUMBER", "$ref": "#"},
    {"title": "NUMBER", "enum": [f"word {number}" for number in range(100_000)]},
    {"title": "NUMBER", "type": "array", "items": {"type": "string"}, "minItems": 10**9},
]


def bodies(model: str) -> list[bytes]:
    """As JSON; made once, for making one takes longer than the server's answer. NUMBER stands for
    one, so that no answer is remembered.
    """
    asked = {"model": model, "prompt": "a", "max_tokens": 1}
    made = [asked | {"structured_outputs": {"json": schema}} for schema in SCHEMAS]
    return [json.dumps(body).encode() for body in made]


async def attack(
    client: httpx.AsyncClient, sent: list[bytes], rate: float, seconds: float
) -> dict[str, Any]:
    times, statuses = list[float](), Counter[int]()
    numbers = count(time.time_ns())

    async def ask(body: bytes) -> None:
        began = time.monotonic()
        reply = await client.post(
            "/v1/completions", content=body.replace(b"NUMBER", b"%d" % next(numbers))
        )
        times.append(time.monotonic() - began)
        statuses[reply.status_code] += 1

    async with asyncio.TaskGroup() as group:
        for body in islice(cycle(sent), round(rate * seconds)):
            group.create_task(ask(body))
            await asyncio.sleep(1 / rate)
    return {"statuses": statuses, "answer_ms": percentiles(times)}


async def main(url: str, model: str) -> None:
    sent, loop = bodies(model), asyncio.get_running_loop()
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            found = await attack(client, sent, **json.loads(line))
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
