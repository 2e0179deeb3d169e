"""What the front end does not import: its start, and every front end's memory, depend on it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "numpy", "gguf", "sympy"}
HTTP = {"fastapi", "starlette", "uvicorn", "prometheus_client"}


def imported_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_the_whole_front_end_is_without_torch() -> None:
    found = imported_by(
        "inferd_server.lifecycle",
        "inferd_server.app",
        "inferd_server.http_server",
        "inferd.engine.front",
        "inferd.loading.tokenizer",
    )
    assert found >= HTTP
    assert not found & HEAVY


@pytest.mark.parametrize("module", ["inferd_server.serve", "inferd_server.lifecycle"])
def test_the_engine_starts_before_fastapi_is_imported(module: str) -> None:
    assert not imported_by(module) & (HTTP | HEAVY)
