"""Routes of embedding models: they say that this version serves none."""

from __future__ import annotations

from fastapi import APIRouter, Response

from inferd_server.errors import ApiError
from inferd_server.service import Service

PATHS = ("/v1/embeddings", "/v1/rerank", "/rerank", "/v1/score", "/score")


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    async def refuse() -> Response:
        """Refused: the model that is served generates text."""
        raise ApiError(
            400,
            f"{service.settings.served_names[0]} generates text; embedding, reranking and scoring "
            "models are not in this version of inferd",
            code="unsupported_model",
            param="model",
        )

    for path in PATHS:
        router.add_api_route(path, refuse, methods=["POST"])
    return router
