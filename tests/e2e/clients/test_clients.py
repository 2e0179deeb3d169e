"""SDKs that are not in the test environment, against a live server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from programs import HERE, PLACE, python_of, run
from served import serving


@dataclass(frozen=True, slots=True)
class Client:
    """A program that takes the URL of SmolLM2, of a server that is soon full, and cases."""

    command: tuple[str | Path, ...]
    cases: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def run(self, url: str, busy: str, *cases: str) -> None:
        printed = run([*self.command, url, busy, *cases], **dict(self.environment))
        assert printed.split() == list(cases)


COMMON = ("chat", "stream", "schema", "logprobs", "embeddings", "errors", "retries")
CLIENTS = {
    "openai for Node": Client(
        ("node", HERE / "openai_node.cjs"),
        (*COMMON, "responses", "abort"),
        (("NODE_PATH", str(PLACE / "node" / "node_modules")),),
    ),
    "langchain-openai": Client(
        (python_of("agents"), HERE / "langchain_openai_cases.py"), (*COMMON, "responses")
    ),
    "litellm": Client(
        (python_of("agents"), HERE / "litellm_cases.py"),
        COMMON,
        (("LITELLM_LOCAL_MODEL_COST_MAP", "True"),),
    ),
}


@pytest.fixture(scope="module")
def busy(tiny: Path) -> Iterator[str]:
    """A server that runs one sequence and lets two wait."""
    limits = ["--max-num-seqs", "1", "--max-num-queued-reqs", "2", "--num-blocks", "4096"]
    options = ["--port", "0", "--load-format", "dummy", "--dtype", "float32", *limits]
    with serving(str(tiny), *options) as served:
        yield served.event("ready")["url"]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_question(name: str, smollm2: dict[str, Any]) -> None:
    CLIENTS[name].run(smollm2["url"], "", "chat")


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_every_case(name: str, smollm2: dict[str, Any], busy: str) -> None:
    client = CLIENTS[name]
    client.run(smollm2["url"], busy, *client.cases)
