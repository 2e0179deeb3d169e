"""Load tools of others drive a live server, without flags made for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from inferd.loading.sources import resolve
from inferd.loading.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from programs import PLACE, python_of, run

pytestmark = pytest.mark.slow
LOAD = """--endpoint-type chat --streaming --tokenizer builtin --use-server-token-count --ui none
--request-count 60 --concurrency 8 --isl 32 --osl 32
--request-cancellation-rate 30 --request-cancellation-delay 0.2"""


@pytest.mark.timeout(600)
def test_aiperf_sees_no_error_but_what_it_cancelled(
    smollm2: dict[str, Any], tmp_path: Path
) -> None:
    """Its tokenizer is a file that litellm brings along."""
    (vocabulary,) = (PLACE / "agents").glob("lib/*/site-packages/litellm/*/tokenizers")
    aiperf, url = python_of("aiperf").parent / "aiperf", smollm2["url"]
    target = ["--model", "smollm2", "--url", url, "--artifact-dir", tmp_path]
    run(
        [aiperf, "profile", *target, *LOAD.split()], timeout=500, TIKTOKEN_CACHE_DIR=str(vocabulary)
    )
    (exported,) = tmp_path.rglob("profile_export.jsonl")
    requests = [json.loads(line) for line in exported.read_text().splitlines()]
    errors = [request["error"] for request in requests if request.get("error")]
    assert len(requests) == 60
    assert {error["type"] for error in errors} <= {"RequestCancellationError"}
    assert len(errors) < 60
    assert httpx.get(f"{url}/load").json() == {"server_load": 0}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_guidellm_sees_no_error(smollm2: dict[str, Any], tmp_path: Path, path: str) -> None:
    """It streams, asks for usage, and counts the tokens that it asked for."""
    report = tmp_path / "report.json"
    options = {
        "backend": f"kind=openai_http,target={smollm2['url']},request_format={path}",
        "profile": "kind=concurrent,streams=4",
        "constraint": "kind=max_requests,count=12",
        "tokenizer": f"kind=hf_auto,model={_tokenizer(tmp_path / 'tokenizer')}",
        "data": "kind=synthetic_text,prompt_tokens=32,output_tokens=16",
        "output": f"kind=json,path={report}",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    run([python_of("guidellm").parent / "guidellm", "run", *words, "--disable-progress"])
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    requests = benchmark["requests"]
    assert [len(requests[kind]) for kind in ("successful", "errored", "incomplete")] == [12, 0, 0]
    assert {request["output_tokens"] for request in requests["successful"]} == {16}


def _tokenizer(folder: Path) -> Path:
    """The model's, as a folder that transformers reads."""
    folder.mkdir()
    tokenizer = Tokenizer.load(resolve("smollm2"))
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder
