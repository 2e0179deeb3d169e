"""What front ends and the engine process say to each other: msgpack over ZMQ, never pickle.

A front end sends several messages at once, a frame each.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferd.contracts.executor import WorkerInfo
from inferd.types import Request, SequenceOutput, StepStats

FOLDER_PREFIX = "inferd-"  # of the folder in which a front end puts the socket of its engine


class Message(msgspec.Struct, array_like=True, tag=True):
    pass


# front end -> engine


class Hello(Message):
    """A front end is there; answered by Ready or Failed once loading ends.

    One that started the engine process may ask to be killed when it hangs.
    """

    watched: bool = False


class Add(Message):
    request: Request


class Abort(Message):
    request_id: str
    index: int | None = None  # one sample only


class Beat(Message):
    """Sent every second; the requests of a front end that stops sending it are aborted."""


class Bye(Message):
    """A front end leaves, or another one is known to be gone: its requests are aborted."""

    name: str = ""  # of the other one


class ResetPrefixCache(Message):
    pass


class Stop(Message):
    """The engine process ends, running requests or not."""


ToEngine = Hello | Add | Abort | Beat | Bye | ResetPrefixCache | Stop


# engine -> front end


class Ready(Message):
    max_model_len: int
    vocab_size: int
    num_blocks: int
    block_size: int
    groups: list[tuple[str, int | None]]
    summary: dict[str, Any]
    scheduler: dict[str, int] = {}

    @classmethod
    def of(cls, info: WorkerInfo) -> Ready:
        return cls(
            info.max_model_len,
            info.vocab_size,
            info.num_blocks,
            info.block_size,
            list(info.groups),
            info.summary,
            info.scheduler,
        )

    def info(self) -> WorkerInfo:
        return WorkerInfo(
            self.max_model_len,
            self.vocab_size,
            self.num_blocks,
            self.block_size,
            tuple(self.groups),
            self.summary,
            self.scheduler,
        )


class Failed(Message):
    """The engine cannot start or go on; `kind` is a class of inferd.errors."""

    kind: str
    message: str


class Refused(Message):
    """One request was not admitted."""

    request_id: str
    message: str
    param: str | None
    code: str


class Outputs(Message):
    outputs: list[SequenceOutput]
    stats: StepStats


ToFrontEnd = Ready | Failed | Refused | Outputs

encode = msgspec.msgpack.Encoder().encode
decode_to_engine = msgspec.msgpack.Decoder(ToEngine).decode
decode_to_front_end = msgspec.msgpack.Decoder(ToFrontEnd).decode
