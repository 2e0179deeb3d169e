"""A live server against its own /openapi.json: drawn requests, no 5xx, no undocumented status."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from served import serving

from inferd_server.app import create_app
from inferd_server.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
DOCUMENT = create_app(SimpleNamespace(), Settings()).openapi()  # type: ignore[arg-type]
GOOD = {"model": "tiny", "prompt": "a", "max_tokens": 2}


@pytest.fixture(scope="module")
def url(tiny: Path) -> Iterator[str]:
    """Of a server of a tiny model, which afterwards still answers and has complained of nothing."""
    options = ["--port", "0", "--load-format", "dummy", "--dtype", "float32", "--num-blocks", "256"]
    with serving(str(tiny), "--max-model-len", "64", *options) as served:
        found: str = served.event("ready")["url"]
        live = httpx.get(f"{found}/openapi.json").json()
        assert live["paths"].items() >= DOCUMENT["paths"].items()  # plugins may add routes
        yield found
        assert httpx.post(f"{found}/v1/completions", json=GOOD, timeout=60).status_code == 200
        assert "Traceback" not in served.stderr


def check(case: Any, url: str) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "tiny"  # a drawn name ends at 404, before anything interesting
    reply = case.call(url, timeout=60)
    case.validate_response(reply, checks=CHECKS)
    if reply.status_code >= 400:
        keys = {"message", "type"}
        if not case.path.startswith("/v1/messages"):
            keys |= {"param", "code"}
        assert set(reply.json()["error"]) == keys


schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.parametrize()
@settings(max_examples=40, derandomize=True, phases=[Phase.generate], **SETTINGS)
def test_drawn_requests(case: Any, url: str) -> None:
    check(case, url)


@pytest.mark.soak
@schema.parametrize()
@settings(max_examples=400, phases=[Phase.explicit, Phase.generate], **SETTINGS)
def test_many_drawn_requests(case: Any, url: str) -> None:
    check(case, url)
