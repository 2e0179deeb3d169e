"""The application against its own /openapi.json, in process and with drawn requests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

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

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FakeEngine

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


def _schema() -> Any:
    app = create_app(
        FakeEngine(),  # type: ignore[arg-type]
        Settings(model="tiny", served_names=("tiny", "org/tiny")),
    )
    app.state.service.phase = "ready"
    return schemathesis.openapi.from_asgi("/openapi.json", app)


schema = _schema()


@schema.parametrize()
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_drawn_requests(case: Any) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = "tiny"  # a drawn name ends at 404, before anything interesting
    reply = case.call()
    case.validate_response(reply, checks=CHECKS)
    if reply.status_code >= 400:
        keys = {"message", "type"}
        if not case.path.startswith("/v1/messages"):
            keys |= {"param", "code"}
        assert set(reply.json()["error"]) == keys
