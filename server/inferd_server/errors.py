"""Every non-2xx reply has one shape, {"error": {"message", "type", "param", "code"}}, but those of
Anthropic's routes, which have {"type": "error", "error": {"type", "message"}}.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inferd.errors import EngineDead, InferdError, RequestError, UsageError

log = logging.getLogger("inferd.server")
MAX_MESSAGE_CHARS = 2000
HTTP_CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}
HTTP_MESSAGES = {
    404: "there is no such route; GET /openapi.json lists them",
    405: "this route does not take that method; see the Allow header",
}
ANTHROPIC_PATH = "/v1/messages"
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
BUSY = {"Retry-After": "1"}
DO_NOT_RETRY = {"x-should-retry": "false"}


class ApiError(Exception):
    """An error with its HTTP status. Raised by the server itself, for what core does not know."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.problem = Problem(status, message, code, param, headers or {})


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told about an error."""

    status: int
    message: str
    code: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> bytes:
        """The error object, JSON."""
        error = {
            "message": self.message[:MAX_MESSAGE_CHARS],
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})

    def event(self) -> bytes:
        """The same as an event of a stream, with the end of the stream."""
        return b"data: " + self.body() + b"\n\ndata: [DONE]\n\n"

    def anthropic_body(self) -> bytes:
        """The error object of Anthropic's routes, JSON."""
        kind = ANTHROPIC_TYPES.get(self.status)
        kind = kind or ("api_error" if self.status >= 500 else "invalid_request_error")
        error = {"type": kind, "message": self.message[:MAX_MESSAGE_CHARS]}
        return msgspec.json.encode({"type": "error", "error": error})

    def response(self) -> Response:
        return _ProblemResponse(self)


class _ProblemResponse(Response):
    """In the shape of the route's dialect, which only the scope tells."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(None, problem.status, problem.headers)
        self._problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem
        to_anthropic = scope["path"].startswith(ANTHROPIC_PATH)
        body = problem.anthropic_body() if to_anthropic else problem.body()
        reply = Response(body, problem.status, problem.headers, media_type="application/json")
        await reply(scope, receive, send)


def anthropic_event(problem: Problem) -> bytes:
    """As an event of a stream of Anthropic's, which ends there."""
    return b"event: error\ndata: " + problem.anthropic_body() + b"\n\n"


def problem_of(error: BaseException) -> Problem:
    """Sort an exception by its class; the text of an unknown one is not shown."""
    for kind, describe in _KINDS:
        if isinstance(error, kind):
            return describe(error)
    log.error("internal error", exc_info=error)
    return Problem(
        500,
        "internal error; the server's log tells more",
        "server_error",
        headers=DO_NOT_RETRY,
    )


def _request_problem(error: RequestError) -> Problem:
    message = str(error)
    if error.code == "queue_full":
        return Problem(429, message, error.code, error.param, BUSY)
    if error.code == "server_error":
        return Problem(500, message, error.code, error.param, DO_NOT_RETRY)
    return Problem(400, message, error.code, error.param)


def _http_problem(error: HTTPException) -> Problem:
    status = error.status_code
    message = HTTP_MESSAGES.get(status, str(error.detail))
    headers = dict(error.headers or {})
    return Problem(status, message, HTTP_CODES.get(status, "http_error"), None, headers)


_KINDS: tuple[tuple[type[Exception], Callable[[Any], Problem]], ...] = (
    (ApiError, lambda error: error.problem),
    (RequestError, _request_problem),
    (EngineDead, lambda error: Problem(503, str(error), "engine_unavailable", headers=BUSY)),
    (UsageError, lambda error: Problem(400, str(error), "invalid_request")),
    (InferdError, lambda error: Problem(500, str(error), "server_error", headers=DO_NOT_RETRY)),
    (HTTPException, _http_problem),
)


def install(app: FastAPI) -> None:
    """Route every expected exception, the framework's own included, through `problem_of`."""

    async def handle(_: Request, error: Exception) -> Response:
        return problem_of(error).response()

    for kind in (ApiError, InferdError, HTTPException):
        app.add_exception_handler(kind, handle)
