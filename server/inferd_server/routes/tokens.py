"""POST /tokenize and /detokenize, GET /tokenizer_info."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from inferd.errors import RequestError
from inferd_server.body import read_body
from inferd_server.documented import takes
from inferd_server.json_response import json_response
from inferd_server.prompts import conversation_ids, encode
from inferd_server.protocol.tokens import DetokenizeBody, TokenizeBody
from inferd_server.service import Service

if TYPE_CHECKING:
    from inferd.loading.tokenizer import Tokenizer

INLINE_TOKENS = 4096  # under a millisecond of decoding; more goes to a thread, without the GIL


def build(service: Service) -> APIRouter:
    router = APIRouter(tags=["tokens"])

    @router.post("/tokenize", openapi_extra=takes(TokenizeBody))
    async def tokenize(request: Request) -> Response:
        """Token ids of a text, or of messages under the chat template."""
        service.check_ready()
        body = await read_body(request, TokenizeBody)
        if body.model is not None:
            service.check_model(body.model)
        ids = await _tokens(service, body)
        reply: dict[str, Any] = {
            "count": len(ids),
            "max_model_len": service.context,
            "tokens": ids,
            "token_strs": None,
        }
        if body.return_token_strs:
            reply["token_strs"] = await asyncio.to_thread(_texts, service.tokenizer, ids)
        return json_response(reply)

    @router.post("/detokenize", openapi_extra=takes(DetokenizeBody))
    async def detokenize(request: Request) -> Response:
        """The text of token ids."""
        service.check_ready()
        body = await read_body(request, DetokenizeBody)
        if body.model is not None:
            service.check_model(body.model)
        size = service.engine.info.vocab_size
        if max(body.tokens, default=0) >= size:
            raise RequestError(f"tokens: an id is not in the vocabulary of {size}", "tokens")
        decode = partial(service.tokenizer.decode, body.tokens, skip_special_tokens=False)
        few = len(body.tokens) <= INLINE_TOKENS
        return json_response({"prompt": decode() if few else await asyncio.to_thread(decode)})

    @router.get("/tokenizer_info")
    async def tokenizer_info() -> Response:
        """Special tokens and chat template."""
        service.check_ready()
        tokenizer = service.tokenizer
        return json_response(
            {
                **tokenizer.special_tokens,
                "chat_template": tokenizer.chat_template,
                "vocab_size": tokenizer.vocab_size,
                "model_max_length": service.context,
            }
        )

    return router


def _texts(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    return [tokenizer.token_text(token_id) for token_id in ids]


async def _tokens(service: Service, body: TokenizeBody) -> list[int]:
    if body.prompt is not None:
        special = body.add_special_tokens is not False
        (ids,) = await encode(service, [body.prompt], special=special, field="prompt")
        return ids
    return await conversation_ids(service, body.conversation())
