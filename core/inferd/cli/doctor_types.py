"""What `inferd doctor` knows, and how it says what it thinks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warn", "fail"]
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on this machine; None: absent, or could not be found out."""

    python: tuple[int, int, int]
    versions: Mapping[str, str | None]  # distribution -> installed version
    torch_error: str | None  # why torch cannot be imported
    capability: str | None  # of the CPU, as torch names it
    cpu_flags: frozenset[str]  # of /proc/cpuinfo
    threads: int | None  # torch's
    omp_num_threads: str | None
    cores: int  # that this process may use
    available_bytes: int | None
    cache_dir: str
    cache_problem: str | None  # why it cannot be written to
    cache_free_bytes: int | None
    platforms: Mapping[str, str]  # best first; why it cannot be used here, empty where it can
    plugins: Sequence[str]  # loaded
    plugin_failures: Mapping[str, str]
    cached_models: Mapping[str, str]
    known_models: Sequence[str]
    hub_offline: bool
    port: int
    port_problem: str | None
    gpus: Sequence[str]  # makes of those that have a driver: NVIDIA, AMD
    torch_build: str | None  # what torch was built for: cuda, rocm, cpu
    max_open_files: int  # the hard limit, to which the server raises itself


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    found: str
    remedy: str = ""

    @property
    def row(self) -> dict[str, Any]:
        return asdict(self)
