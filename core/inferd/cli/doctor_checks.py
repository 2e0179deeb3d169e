"""What `inferd doctor` thinks of the facts. Pure: facts in, checks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warn", "fail"]
GIB = 1 << 30
PYTHON = ((3, 11), (3, 13))
TORCH, TRITON = (2, 11), (3, 6)
TRANSFORMERS = ((5, 17), (6, 0))  # from, and before
LEAST_MEMORY, LEAST_FILES, LEAST_DISK = 2 * GIB, 4096, 2 * GIB
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16")


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


def check_all(facts: Facts) -> list[Check]:
    checks = (
        check_python,
        check_torch,
        check_platform,
        check_cpu,
        check_threads,
        check_transformers,
        check_triton,
        check_memory,
        check_cache,
        check_plugins,
        check_models,
        check_hub,
        check_port,
        check_files,
    )
    return [check(facts) for check in checks]


def _numbers(version: str) -> tuple[int, ...]:
    """(major, minor) of a version text."""
    public = version.partition("+")[0]
    return tuple(int(part) for part in public.split(".")[:2] if part.isdigit())


def check_python(facts: Facts) -> Check:
    found = ".".join(map(str, facts.python))
    low, high = PYTHON
    if facts.python[:2] < low:
        return Check("python", "fail", found, "inferd needs Python 3.11, 3.12 or 3.13")
    if facts.python[:2] > high:
        return Check("python", "warn", found, "tested with Python 3.11 to 3.13")
    return Check("python", "ok", found)


def check_torch(facts: Facts) -> Check:
    version = facts.versions.get("torch")
    if version is None:
        return Check("torch", "fail", "not installed", "pip install 'torch>=2.11'")
    if facts.torch_error is not None:
        text = f"{version} is installed but cannot be imported: {facts.torch_error}"
        return Check("torch", "fail", text, "pip install --force-reinstall 'torch>=2.11'")
    if _numbers(version) < TORCH:
        return Check("torch", "fail", version, "pip install --upgrade 'torch>=2.11'")
    return Check("torch", "ok", version)


def check_platform(facts: Facts) -> Check:
    """The one that is used where the user names none, and what speaks against the others."""
    used = next((name for name, why in facts.platforms.items() if not why), None)
    rest = "; ".join(f"not {name}: {why}" for name, why in facts.platforms.items() if why)
    if used is None:
        return Check("platform", "fail", rest or "none", "pip install --force-reinstall inferd")
    return Check("platform", "ok", f"{used} ({rest})" if rest else used)


def check_cpu(facts: Facts) -> Check:
    fast = [flag for flag in BF16_FLAGS if flag in facts.cpu_flags]
    found = f"{facts.capability or 'unknown'}, bfloat16 {', '.join(fast) or 'not in hardware'}"
    if fast:
        return Check("cpu", "ok", found)
    remedy = "bfloat16 is emulated or replaced by float32: a model takes more time and memory"
    return Check("cpu", "warn", found, remedy)


def check_threads(facts: Facts) -> Check:
    found = f"{facts.cores} cores, torch uses {facts.threads} threads"
    if facts.omp_num_threads is not None:
        found += f" (OMP_NUM_THREADS={facts.omp_num_threads})"
        if facts.threads is not None and facts.threads != facts.cores:
            remedy = f"unset OMP_NUM_THREADS, or set it to {facts.cores}"
            return Check("threads", "warn", found, remedy)
    return Check("threads", "ok", found)


def check_transformers(facts: Facts) -> Check:
    version = facts.versions.get("transformers")
    low, high = TRANSFORMERS
    remedy = "pip install 'transformers>=5.17,<6'"
    if version is None:
        text = "not installed: inferd's own models run without it, parity tests do not"
        return Check("transformers", "warn", text, remedy)
    state: State = "ok" if low <= _numbers(version) < high else "warn"
    return Check("transformers", state, version, "" if state == "ok" else remedy)


def check_triton(facts: Facts) -> Check:
    version = facts.versions.get("triton")
    if version is None:
        return Check("triton", "ok", "not installed: only GPU kernels need it")
    if _numbers(version) < TRITON:
        return Check("triton", "warn", version, "pip install --upgrade 'triton>=3.6'")
    return Check("triton", "ok", version)


def check_memory(facts: Facts) -> Check:
    if facts.available_bytes is None:
        return Check("memory", "warn", "unknown", "give --kv-cache-memory-bytes when serving")
    found = f"{facts.available_bytes / GIB:.1f} GiB available"
    if facts.available_bytes < LEAST_MEMORY:
        remedy = "end other programs, or serve with --kv-cache-memory-bytes 268435456"
        return Check("memory", "warn", found, remedy)
    return Check("memory", "ok", found)


def check_cache(facts: Facts) -> Check:
    if facts.cache_problem is not None:
        found = f"{facts.cache_dir}: {facts.cache_problem}"
        return Check("cache", "fail", found, "set INFERD_CACHE to a directory of yours")
    free = facts.cache_free_bytes
    found = facts.cache_dir + (f", {free / GIB:.1f} GiB free" if free is not None else "")
    if free is not None and free < LEAST_DISK:
        return Check("cache", "warn", found, "free some space, or set INFERD_CACHE")
    return Check("cache", "ok", found)


def check_plugins(facts: Facts) -> Check:
    if facts.plugin_failures:
        found = "; ".join(f"{name}: {why}" for name, why in facts.plugin_failures.items())
        words = ",".join(f"no:{name}" for name in facts.plugin_failures)
        return Check("plugins", "fail", found, f"repair them, or leave them out: --plugins {words}")
    return Check("plugins", "ok", ", ".join(facts.plugins))


def check_models(facts: Facts) -> Check:
    if facts.cached_models:
        return Check("models", "ok", f"cached: {', '.join(facts.cached_models)}")
    remedy = f"inferd models pull {facts.known_models[0]}" if facts.known_models else ""
    return Check("models", "warn", "no alias is in the cache", remedy)


def check_hub(facts: Facts) -> Check:
    if facts.hub_offline:
        found = "HF_HUB_OFFLINE is set: hub ids work only from the cache"
        return Check("hub", "ok", found)
    return Check("hub", "ok", "hub ids are looked up online")


def check_port(facts: Facts) -> Check:
    if facts.port_problem is None:
        return Check("port", "ok", f"{facts.port} is free")
    remedy = "serve on another port: inferd serve --port 0 takes any free one"
    return Check("port", "warn", f"{facts.port}: {facts.port_problem}", remedy)


def check_files(facts: Facts) -> Check:
    found = f"up to {facts.max_open_files:,} open files"
    if facts.max_open_files < LEAST_FILES:
        remedy = f"ulimit -Hn {LEAST_FILES} (each connection takes one)"
        return Check("open files", "warn", found, remedy)
    return Check("open files", "ok", found)
