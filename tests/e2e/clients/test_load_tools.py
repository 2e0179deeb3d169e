"""Load tools of others drive a live server, without flags made for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from programs import PLACE, python_of, run
from served import serving

pytestmark = pytest.mark.slow
LOAD = """--endpoint-type chat --streaming --tokenizer builtin --use-server-token-count --ui none
--request-count 60 --concurrency 8 --isl 32 --osl 32
--request-cancellation-rate 30 --request-cancellation-delay 0.2"""


@pytest.fixture(scope="module")
def url(tiny: Path) -> Iterator[str]:
    options = [
        "--port",
        "0",
        "--load-format",
        "dummy",
        "--dtype",
        "float32",
        "--num-blocks",
        "4096",
    ]
    with serving(str(tiny), *options) as served:
        yield served.event("ready")["url"]


@pytest.mark.timeout(600)
def test_aiperf_sees_no_error_but_what_it_cancelled(url: str, tmp_path: Path) -> None:
    """Its tokenizer is a file that litellm brings along."""
    (vocabulary,) = (PLACE / "agents").glob("lib/*/site-packages/litellm/*/tokenizers")
    aiperf = python_of("aiperf").parent / "aiperf"
    command = [
        aiperf,
        "profile",
        "--model",
        "tiny",
        "--url",
        url,
        *LOAD,
        "--artifact-dir",
        tmp_path,
    ]
    run(command, timeout=500, TIKTOKEN_CACHE_DIR=str(vocabulary))
    (exported,) = tmp_path.rglob("profile_export.jsonl")
    requests = [json.loads(line) for line in exported.open()]
    errors = [request["error"] for request in requests if request.get("error")]
    assert len(requests) == 60
    assert {error["type"] for error in errors} <= {"RequestCancellationError"}
    assert len(errors) < 60
    assert httpx.get(f"{url}/load").json() == {"server_load": 0}
