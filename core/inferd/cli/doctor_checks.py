"""What `inferd doctor` thinks of the facts. Pure: facts in, checks out."""

from __future__ import annotations

from inferd.cli.doctor_hardware import (
    check_cpu,
    check_gpu,
    check_memory,
    check_platform,
    check_threads,
)
from inferd.cli.doctor_types import GIB, Check, Facts, State

PYTHON = ((3, 11), (3, 13))
TORCH, TRITON = (2, 11), (3, 6)
TRANSFORMERS = ((5, 17), (6, 0))  # from, and before
LEAST_FILES, LEAST_DISK = 4096, 2 * GIB


def check_all(facts: Facts) -> list[Check]:
    checks = (
        check_python,
        check_torch,
        check_gpu,
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
