"""What `inferd doctor` finds out about this machine."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from inferd.cli.doctor_types import Facts
from inferd.config.paths import cache_dir
from inferd.host.explain import candidates
from inferd.host.host import Host
from inferd.loading.sources import ALIASES, list_cached


def gather(plugins: str, port: int) -> Facts:
    """Raises PluginError when a plugin the user named cannot be loaded."""
    host = Host.from_selection(plugins)
    folder = cache_dir()
    found = _torch_facts()
    return Facts(
        python=sys.version_info[:3],
        versions={name: _version(name) for name in ("torch", "transformers", "triton")},
        cpu_flags=_cpu_flags(Path("/proc/cpuinfo")),
        omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
        cores=len(os.sched_getaffinity(0)),
        cache_dir=str(folder),
        cache_problem=_cache_problem(folder),
        cache_free_bytes=_free_bytes(folder),
        platforms={
            each.entry.name: each.verdict.reason
            for each in candidates(host.catalog.platforms, lambda kind: kind.detect())
        },
        plugins=sorted(host.loaded),
        plugin_failures=host.failures,
        cached_models={name: str(path) for name, path in list_cached().items()},
        known_models=list(ALIASES),
        hub_offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"},
        port=port,
        port_problem=_port_problem(port),
        gpus=gpus_present(),
        max_open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        **found,
    )


def _torch_facts() -> dict[str, Any]:
    """What needs torch to be told, and None for each when it cannot be imported."""
    names = ("capability", "threads", "available_bytes", "torch_build")
    try:
        import torch

        from inferd.builtin.cpu import CpuPlatform
    except (ImportError, OSError) as error:
        return {**dict.fromkeys(names), "torch_error": (str(error).splitlines() or [""])[0]}
    cpu = CpuPlatform()
    cpu.prepare()
    build = "cuda" if torch.version.cuda else "rocm" if torch.version.hip else "cpu"
    capability, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    values = (capability, threads, cpu.free_memory(), build)
    return {**dict(zip(names, values, strict=True)), "torch_error": None}


def gpus_present(devices: Path = Path("/dev")) -> list[str]:
    """Makes of the GPUs whose drivers have made devices, whatever torch can do with them."""
    nvidia = any(devices.glob("nvidia[0-9]*"))
    return [*(["NVIDIA"] if nvidia else []), *(["AMD"] if (devices / "kfd").exists() else [])]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_flags(cpuinfo: Path) -> frozenset[str]:
    """Of the first core; x86 calls them flags, ARM features."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    listed = (line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split())


def _cache_problem(folder: Path) -> str | None:
    """Of the nearest directory that exists: the cache is made when it is first needed."""
    place = _nearest(folder)
    if not place.is_dir():
        return f"{place} is not a directory"
    return None if os.access(place, os.W_OK | os.X_OK) else f"{place} cannot be written to"


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(_nearest(folder)).free
    except OSError:
        return None


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _port_problem(port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return getattr(error, "strerror", None) or str(error)
    return None
