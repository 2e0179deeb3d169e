"""Does the time of a refusal tell where a wrong key differs from the right one?

`python -m bench.front.refusal`: Welch's t of wrong keys that differ in the first and in the last of
4,096 bytes, 20,000 of each, in five rounds. A comparison that stops at the first difference has a t
of some hundreds in each round; under 4.5 nothing is told.
"""

from __future__ import annotations

import statistics
import time

from inferd_server.keys import Key
from inferd_server.middleware.auth import Auth

WRONG = [b"x" + b"k" * 4095, b"k" * 4095 + b"x"]


def welch(auth: Auth) -> float:
    times: list[list[int]] = [[], []]
    for turn in range(40_000):
        which = (turn ^ turn >> 1) & 1  # each as often the first of two as the other
        given = bytes(bytearray(WRONG[which]))  # in the same place: where it lies takes time too
        began = time.perf_counter_ns()
        auth._find([given])
        times[which].append(time.perf_counter_ns() - began)
    first, last = (sorted(found)[:18_000] for found in times)  # the rest had to wait
    spread = (statistics.variance(first) + statistics.variance(last)) / len(first)
    return (statistics.mean(first) - statistics.mean(last)) / spread**0.5


def main() -> None:
    auth = Auth(None, (Key.parse("k" * 4096),))  # type: ignore[arg-type]
    found = [abs(welch(auth)) for _ in range(5)]
    print("Welch's t of five rounds:", *(f"{t:.2f}" for t in found), f"least {min(found):.2f}")


if __name__ == "__main__":
    main()
