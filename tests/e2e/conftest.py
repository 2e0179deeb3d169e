"""Real servers on free loopback ports."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import tiny_model
from served import GOOD, Served, serving


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def start(tiny: Path) -> Callable[..., AbstractContextManager[Served]]:
    """`with start("--drain-timeout", "1") as served:` a server of the tiny model."""

    def make(*arguments: str, port: str = "0") -> AbstractContextManager[Served]:
        fixed = ["--load-format", "dummy", "--dtype", "float32", "--num-blocks", "4096"]
        return serving(str(tiny), "--port", port, *fixed, *arguments)

    return make


@pytest.fixture(scope="module")
def smollm2() -> Iterator[dict[str, Any]]:
    """The ready event of a server of the real model."""
    with serving("smollm2", "--port", "0", "--kv-cache-memory-bytes", str(256 << 20)) as served:
        yield served.event("ready")


@pytest.fixture(scope="module")
def served(tiny: Path) -> Iterator[Served]:
    options = ["--load-format", "dummy", "--dtype", "float32", "--num-blocks", "32768"]
    with serving(str(tiny), "--port", "0", *options, "--max-model-len", "8192") as made:
        yield made
        assert "Traceback" not in made.stderr


@pytest.fixture(scope="module")
def url(served: Served) -> str:
    found: str = served.event("ready")["url"]
    return found


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """After the test a good request has the answer that it had before."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as made:
        before = await _answer(made)
        yield made
        assert await _answer(made) == before
        assert (await made.get("/ready")).status_code == 200


async def _answer(client: httpx.AsyncClient) -> str:
    reply = await client.post("/v1/completions", json=GOOD)
    text: str = reply.json()["choices"][0]["text"]
    return text
