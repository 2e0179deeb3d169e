"""Publishes changes of the prefix cache over ZMQ, as vLLM does: cache-aware routers read that.

Frames: topic, number of the batch (8 bytes, big-endian), msgpack of [time, events, rank]. One that
misses a number has missed events; what it knew is then worth nothing.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import zmq

from inferd.errors import EnvironmentProblem
from inferd.memory.cache_events import CacheEvent

RANK = 0  # of this replica


class Batch(msgspec.Struct, array_like=True):
    ts: float  # seconds since 1970
    events: list[CacheEvent]
    data_parallel_rank: int


class KvEvents:
    """Raises EnvironmentProblem when the address cannot be bound."""

    def __init__(self, address: str, topic: str) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[Any] = self._context.socket(zmq.PUB)
        self._topic = topic.encode()
        self._number = 0
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise EnvironmentProblem(f"--kv-events {address}: {error}") from None

    def publish(self, events: list[CacheEvent]) -> None:
        """Never waits: a reader that is slow misses batches."""
        payload = msgspec.msgpack.encode(Batch(time.time(), events, RANK))
        self._socket.send_multipart([self._topic, self._number.to_bytes(8, "big"), payload])
        self._number += 1

    def close(self) -> None:
        self._context.destroy(linger=0)
