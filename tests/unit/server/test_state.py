"""Phases, authentication, metrics, tokens and models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi import client_of
from prometheus_client.parser import text_string_to_metric_families

from inferd_server.settings import default_names

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("phase", ["loading", "draining", "dead"])
async def test_phases_that_do_not_serve(make_app: Any, phase: str) -> None:
    async with client_of(make_app(phase=phase)) as client:
        assert (await client.get("/health")).status_code == 200
        for reply in (
            await client.get("/ready"),
            await client.post("/v1/chat/completions", json=CHAT),
            await client.post("/v1/completions", json={}),
            await client.post("/tokenize", json={"prompt": "a"}),
        ):
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "1"
            code = "draining" if phase == "draining" else "engine_unavailable"
            assert reply.json()["error"]["code"] == code


async def test_models_answer_before_the_model_is_loaded(make_app: Any, engine: Any) -> None:
    del engine.info
    async with client_of(make_app(phase="loading")) as client:
        cards = (await client.get("/v1/models")).json()["data"]
    assert [card["id"] for card in cards] == ["tiny", "org/tiny"]
    assert cards[0]["max_model_len"] is None


async def test_ready_and_version(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ready")).json() == {"status": "ready"}
    assert (await client.get("/version")).json()["version"]


async def test_an_engine_without_progress_is_not_ready(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.silent_s = 11.0
    reply = await client.get("/ready")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["error"]["code"] == "engine_unavailable"
    assert (await client.get("/health")).status_code == 200
    engine.silent_s = 9.0
    assert (await client.get("/ready")).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer k2"},
        {"authorization": "bearer k1"},
        {"x-api-key": "k1"},
        {"api-key": "k2"},
        {"Authorization": "Bearer wrong", "x-api-key": "k1"},
    ],
)
async def test_a_key_opens(make_app: Any, header: dict[str, str]) -> None:
    async with client_of(make_app(api_keys=("k1", "k2"))) as client:
        assert (await client.get("/v1/models", headers=header)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer k"},
        {"Authorization": "Bearer k11"},
        {"Authorization": "Basic k1"},
        {"Authorization": "k1"},
        {"x-api-key": ""},
    ],
)
async def test_every_route_but_the_probes_is_closed(make_app: Any, header: dict[str, str]) -> None:
    app = make_app(api_keys=("k1",))
    document = app.openapi()
    paths = [
        *document["paths"],
        "/openapi.json",
        "/docs",
        "/nothing",
        "//v1/models",
        "/v1/./models",
    ]
    assert len(paths) > 12
    async with client_of(app) as client:
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                url = f"http://test{path.replace('{model}', 'tiny')}?api_key=k1"
                reply = await client.request(method, url, headers=header)
                if path in ("/health", "/ready"):
                    assert reply.status_code in (200, 405)
                    continue
                assert reply.status_code == 401, path
                assert reply.headers["www-authenticate"] == "Bearer"
                error = reply.json()["error"]
                of_anthropic = path.startswith("/v1/messages")
                kind = error["type"] if of_anthropic else error["code"]
                assert kind == ("authentication_error" if of_anthropic else "invalid_api_key")
                assert reply.headers["x-request-id"]


async def test_metrics_count_requests(client: httpx.AsyncClient) -> None:
    for stream in (False, True):
        await client.post("/v1/chat/completions", json={**CHAT, "n": 2, "stream": stream})
    reply = await client.get("/metrics")
    values = {
        (sample.name, sample.labels.get("finished_reason", "")): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }
    prompt = len("<user>hi<assistant>")
    assert values["inferd_prompt_tokens_total", ""] == 2 * prompt
    assert values["inferd_generation_tokens_total", ""] == 2 * 2 * 7
    assert values["inferd_request_success_total", "stop"] == 4
    assert values["inferd_time_to_first_token_seconds_count", ""] == 2
    assert values["inferd_e2e_request_latency_seconds_count", ""] == 4
    assert values["inferd_inter_token_latency_seconds_count", ""] == 4 * 6
    assert values["inferd_request_time_per_output_token_seconds_count", ""] == 4
    assert values["inferd_num_requests_running", ""] == 3
    assert values["inferd_kv_cache_usage_perc", ""] == 0.25
    assert values["inferd_prefix_cache_hits_total", ""] == 7


async def test_series_have_vllms_names_too(make_app: Any) -> None:
    async with client_of(make_app(metrics_alias="vllm")) as client:
        await client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 3})
        text = (await client.get("/metrics")).text
    families = {f.name: f for f in text_string_to_metric_families(text)}
    ours = {name.removeprefix("inferd_") for name in families if name.startswith("inferd_")}
    assert len(ours) > 20
    for name in ours:
        one, other = families[f"inferd_{name}"], families[f"vllm:{name}"]
        assert one.type == other.type
        named = {
            (s.name.replace("inferd_", "vllm:"), *sorted({**s.labels, "engine": "0"}.items()))
            for s in one.samples
            if not s.name.endswith("_created")
        }
        assert {(s.name, *sorted(s.labels.items())) for s in other.samples} >= named
    assert families["vllm:gpu_cache_usage_perc"].samples[0].value == 0.25
    assert families["vllm:cache_config_info"].samples[0].labels["block_size"] == "16"


async def test_the_dashboard_asks_for_series_that_exist(client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 3})
    text = (await client.get("/metrics")).text
    known = {s.name for f in text_string_to_metric_families(text) for s in f.samples}
    dashboard = json.loads((ROOT / "docs" / "how-to" / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"inferd_\w+", target["expr"])
    }
    assert len(asked) > 12
    assert asked <= known


async def test_the_phases_of_a_request_are_timed(client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json={**CHAT, "n": 2, "max_tokens": 3})
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    counts = {s.name: s.value for f in families for s in f.samples if s.name.endswith("_count")}
    for name in ("queue_time_seconds", "prefill_time_seconds", "prompt_tokens", "params_n"):
        assert counts[f"inferd_request_{name}_count"] == 1
    for name in ("decode_time_seconds", "inference_time_seconds", "generation_tokens"):
        assert counts[f"inferd_request_{name}_count"] == 2


async def test_tokenize_and_back(client: httpx.AsyncClient) -> None:
    asked = {"prompt": "abc", "return_token_strs": True}
    reply = (await client.post("/tokenize", json=asked)).json()
    assert reply == {
        "count": 3,
        "max_model_len": 512,
        "tokens": [97, 98, 99],
        "token_strs": ["a", "b", "c"],
    }
    back = await client.post("/detokenize", json={"model": "tiny", "tokens": reply["tokens"]})
    assert back.json() == {"prompt": "abc"}
    chat = await client.post("/tokenize", json={"messages": CHAT["messages"]})
    assert chat.json()["count"] == len("<user>hi<assistant>")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tokenize", {}, 400),
        ("/tokenize", {"prompt": "a", "messages": CHAT["messages"]}, 400),
        ("/tokenize", {"prompt": 7}, 400),
        ("/tokenize", {"prompt": "a", "model": "nope"}, 404),
        ("/detokenize", {}, 400),
        ("/detokenize", {"tokens": [1000]}, 400),
        ("/detokenize", {"tokens": [-1]}, 400),
        ("/detokenize", {"tokens": "abc"}, 400),
    ],
)
async def test_bad_tokens(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    reply = await client.post(path, json=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


async def test_sampling_defaults_come_from_the_checkpoint(
    client: httpx.AsyncClient, engine: Any
) -> None:
    engine.generation_config = {"temperature": 0.6, "top_k": 20, "top_p": 0.9, "do_sample": True}
    asked = {**CHAT, "top_k": 5, "logit_bias": {"7": -3.5}, "min_tokens": 2, "priority": -1}
    await client.post("/v1/chat/completions", json={**asked, "cache_salt": "s", "seed": None})
    request = engine.seen[0]
    assert (request.params.temperature, request.params.top_p) == (0.6, 0.9)
    assert request.params.top_k == 5
    assert request.params.logit_bias == {7: -3.5}
    assert (request.priority, request.cache_salt) == (-1, "s")


async def test_parts_are_joined_and_developers_are_systems(
    client: httpx.AsyncClient, engine: Any
) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "s"}, {"role": "user", "content": parts}]
    await client.post("/v1/chat/completions", json={"model": "tiny", "messages": messages})
    text = "".join(map(chr, engine.seen[0].prompt_ids))
    assert text == "<system>s<user>a\nb<assistant>"


async def test_prompt_logprobs(client: httpx.AsyncClient) -> None:
    asked = {**CHAT, "prompt_logprobs": 1}
    reply = (await client.post("/v1/chat/completions", json=asked)).json()
    found = reply["prompt_logprobs"]
    assert found[0] is None
    assert found[1][str(ord("u"))] == {"logprob": -1.0, "rank": 2, "decoded_token": "u"}


async def test_without_a_tokenizer_ids_still_work(client: httpx.AsyncClient, engine: Any) -> None:
    engine.tokenizer = None
    ids = {"model": "tiny", "prompt": [1, 2], "return_token_ids": True, "max_tokens": 2}
    reply = await client.post("/v1/completions", json=ids)
    assert reply.json()["choices"][0]["token_ids"] == [ord("H"), ord("e")]
    text = await client.post("/v1/completions", json={"model": "tiny", "prompt": "a"})
    assert text.status_code == 400
    assert text.json()["error"]["code"] == "no_tokenizer"


def test_served_names(tmp_path: Any) -> None:
    (tmp_path / "My-Model.gguf").touch()
    assert default_names("smollm2") == ["smollm2"]
    assert default_names("hf:org/Name-1B") == ["Name-1B", "org/Name-1B"]
    assert default_names(str(tmp_path / "My-Model.gguf")) == ["My-Model"]


async def test_what_evaluation_harnesses_ask_of_the_tokenizer(client: httpx.AsyncClient) -> None:
    info = (await client.get("/tokenizer_info")).json()
    assert (info["bos_token"], info["eos_token"]) == ("<s>", "\0")
    assert info["chat_template"] == "a template"
    asked = {"prompt": "ab", "add_special_tokens": False}
    tokens = (await client.post("/tokenize", json=asked)).json()["tokens"]
    assert (await client.post("/detokenize", json={"tokens": tokens})).json()["prompt"] == "ab"


async def test_what_routers_ask_for(client: httpx.AsyncClient, engine: Any) -> None:
    chat = (await client.post("/v1/chat/completions/render", json=CHAT)).json()
    assert chat["token_ids"] == [ord(c) for c in "<user>hi<assistant>"]
    asked = {"model": "tiny", "prompt": ["a", [98, 99]]}
    texts = (await client.post("/v1/completions/render", json=asked)).json()
    assert [each["token_ids"] for each in texts] == [[97], [98, 99]]
    assert (await client.get("/load")).json() == {"server_load": 0}
    assert engine.seen == []
