"""Registers /ping and /invocations."""

from __future__ import annotations

from typing import Any

from inferd.plugin import Registry, hookimpl


@hookimpl
def inferd_register_routes(registry: Registry[Any]) -> None:
    registry.add(
        "sagemaker",
        "inferd_routes_sagemaker.routes:build",
        summary="GET /ping and POST /invocations",
    )
