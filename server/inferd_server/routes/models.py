"""GET /v1/models: answers from the first moment, so that clients can wait for it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from inferd_server.json_response import json_response
from inferd_server.service import Service


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    def card(name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": service.created,
            "owned_by": "inferd",
            "root": service.settings.served_names[0],
            "parent": None,
            "max_model_len": service.max_model_len,
        }

    @router.get("/v1/models")
    async def list_models() -> Response:
        """Every served name."""
        cards = [card(name) for name in service.settings.served_names]
        return json_response({"object": "list", "data": cards})

    @router.get("/v1/models/{model:path}")
    async def get_model(model: str) -> Response:
        """One served name."""
        service.check_model(model)
        return json_response(card(model))

    return router
