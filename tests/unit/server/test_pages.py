"""The pages as files: who may read them, what they may load, and that all of it is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asgi import client_of

from inferd_server import pages

pytestmark = pytest.mark.anyio

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
REFERENCE = re.compile(r"""(?:href|src|from)\s*=?\s*"([^"]+)\"""")
NOT_PAGES = {"/metrics"}


@pytest.mark.parametrize("path", pages.PATHS)
async def test_pages_are_open_and_strict(make_app: Callable[..., Any], path: str) -> None:
    """Without a key, and before the model is loaded."""
    reply = await client_of(make_app("loading", api_keys=("secret",))).get(path)
    assert reply.status_code == 200
    policy = dict(
        part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";")
    )
    assert policy == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert len(reply.text.splitlines()) < 200


async def test_what_they_ask_for_still_wants_the_key(make_app: Callable[..., Any]) -> None:
    client = client_of(make_app(api_keys=("secret",)))
    for path in ("/metrics", "/v1/models", "/pages/../metrics", "/pages/", "/dashboard/"):
        assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("path", pages.PATHS)
async def test_they_load_their_own_files_only(client: httpx.AsyncClient, path: str) -> None:
    text = (await client.get(path)).text
    assert set(REFERENCE.findall(text)) - NOT_PAGES <= pages.PATHS.keys()
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in text
    assert " style=" not in text


async def test_the_dashboard_names_series_that_there_are(client: httpx.AsyncClient) -> None:
    script = (await client.get("/pages/dashboard.js")).text
    named = set(re.findall(r'"([a-z_]+_(?:total|seconds|perc|running|waiting))"', script))
    assert len(named) >= 10
    text = (await client.get("/metrics")).text
    kinds = set(re.findall(r"^# TYPE inferd_(\w+)", text, re.MULTILINE))
    assert named <= kinds


async def test_the_page_of_the_api_has_every_route(client: httpx.AsyncClient) -> None:
    reply = await client.get("/docs")
    text = reply.text
    assert reply.headers["content-security-policy"] == pages.HEADERS["Content-Security-Policy"]
    for path in (await client.get("/openapi.json")).json()["paths"]:
        assert f" {path}</code>" in text
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{anchor}"' in text
    assert set(re.findall(r"""(?:href|src)="(/[^"]*)\"""", text)) <= {*pages.PATHS, "/openapi.json"}


async def test_they_are_no_part_of_the_api(client: httpx.AsyncClient) -> None:
    assert not (await client.get("/openapi.json")).json()["paths"].keys() & pages.PATHS.keys()
    assert (await client.post("/", json={})).status_code == 405
