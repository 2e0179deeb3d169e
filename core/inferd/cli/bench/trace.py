"""From a Chrome trace to GPU busy, gaps, top kernels and the host's part. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from inferd.cli.bench.measures import percentile

ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
CALLS = ("cuda_runtime", "cuda_driver")
WAITING = ("Synchronize", "StreamWaitValue")
SMALL_GAP_US = 2.0  # back-to-back kernels of one graph
Event = dict[str, Any]
Interval = tuple[float, float]


def read_events(path: Path) -> list[Event]:
    """The complete events; times in microseconds."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [event for event in content["traceEvents"] if event.get("ph") == "X"]


def busy(events: Iterable[Event]) -> dict[str, Any]:
    """The device's part: {} when nothing ran there."""
    work = sorted(
        (event for event in events if event.get("cat") in ON_DEVICE), key=lambda event: event["ts"]
    )
    if not work:
        return {}
    joined = union([(event["ts"], event["ts"] + event["dur"]) for event in work])
    wall = joined[-1][1] - joined[0][0]
    total = sum(end - begin for begin, end in joined)
    return {
        "gpu_busy": round(total / wall, 4),
        "gpu_busy_ms": round(total / 1e3, 3),
        "gpu_wall_ms": round(wall / 1e3, 3),
        "gaps": gaps(joined, {event["ts"]: event["name"] for event in reversed(work)}),
        "kernels": by_name(work),
    }


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """Of intervals in the order of their begin."""
    joined: list[Interval] = []
    for begin, end in intervals:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def gaps(joined: Sequence[Interval], first_at: dict[float, str]) -> dict[str, Any]:
    """Idle times of the device, and before which kernels they add up."""
    found = [(after[0] - before[1], first_at[after[0]]) for before, after in pairwise(joined)]
    if not found:
        return {"count": 0, "total_us": 0.0}
    sizes = [size for size, _ in found]
    before: dict[str, float] = defaultdict(float)
    for size, name in found:
        before[name] += size
    largest = sorted(before.items(), key=lambda pair: -pair[1])[:8]
    return {
        "count": len(sizes),
        "over_2us": sum(size > SMALL_GAP_US for size in sizes),
        "total_us": round(sum(sizes), 1),
        "p50_us": round(percentile(sizes, 50), 2),
        "p99_us": round(percentile(sizes, 99), 2),
        "largest_us": round(max(sizes), 1),
        "before_us": {name: round(size, 1) for name, size in largest},
    }


def by_name(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Total time and count of each name, most time first."""
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        times[event["name"]].append(event["dur"])
    rows = [
        {
            "name": name,
            "count": len(each),
            "total_ms": round(sum(each) / 1e3, 3),
            "median_us": round(percentile(each, 50), 2),
        }
        for name, each in times.items()
    ]
    return sorted(rows, key=lambda row: -row["total_ms"])


def calls(events: Iterable[Event], steps: int, ms_per_step: float) -> dict[str, Any]:
    """The host's part of a step: all of its time but what it waits for the device."""
    made = [event for event in events if event.get("cat") in CALLS]
    waits = [event for event in made if any(word in event["name"] for word in WAITING)]
    waited = sum(event["dur"] for event in waits) / steps / 1e3
    return {
        "host_ms_per_step": round(ms_per_step - waited, 4),
        "waited_ms_per_step": round(waited, 4),
        "calls_per_step": {
            row["name"]: [round(row["count"] / steps, 2), round(row["total_ms"] * 1e3 / steps, 2)]
            for row in by_name(made)[:10]
        },
    }
