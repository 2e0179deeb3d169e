"""Every error inferd raises on purpose.

    InferdError
     +- UsageError             a flag, a name or a path is wrong            exit 2   HTTP 400
     |   +- PluginError        a plugin is unknown, broken or in conflict   exit 2
     |   +- NotInThisVersion   a feature with a place but no code yet       exit 2   HTTP 400
     +- EnvironmentProblem     port in use, no memory, no network           exit 3
     |   +- EngineDead         the engine process is gone                   exit 3   HTTP 500
     |   +- OutOfMemory        a step needs more than there is              exit 3   HTTP 503
     +- DoesNotFit             model or context does not fit the memory     exit 4
     +- UnsupportedModel       architecture, format or weights unusable     exit 5
     |   +- CheckpointError    truncated, misshapen or missing weights      exit 5
     +- RequestError           one request is invalid                       HTTP 400
         +- ContextTooLong     prompt (or prompt + output) exceeds context  HTTP 400

A message says what happened, what was found, what is possible and what to type next.
"""

from __future__ import annotations


class InferdError(Exception):
    """Base of all errors that are shown to a user without a traceback."""

    exit_code = 1


class UsageError(InferdError):
    exit_code = 2


class PluginError(UsageError):
    pass


class NotInThisVersion(UsageError):
    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not in this version of inferd")


class EnvironmentProblem(InferdError):
    exit_code = 3


class EngineDead(EnvironmentProblem):
    pass


class OutOfMemory(EnvironmentProblem):
    pass


class DoesNotFit(InferdError):
    exit_code = 4


class UnsupportedModel(InferdError):
    exit_code = 5


class CheckpointError(UnsupportedModel):
    pass


class RequestError(InferdError):
    """One request is invalid; `param` names the field and `code` the kind, as OpenAI does."""

    exit_code = 2

    def __init__(
        self, message: str, param: str | None = None, code: str = "invalid_request"
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class ContextTooLong(RequestError):
    def __init__(self, message: str, param: str | None = "messages") -> None:
        super().__init__(message, param, "context_length_exceeded")
