"""What `inferd doctor` thinks of GPU, CPU and memory. Pure: facts in, checks out."""

from __future__ import annotations

from inferd.cli.doctor_types import GIB, Check, Facts

LEAST_MEMORY = 2 * GIB
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16")
BUILDS = {  # make of a GPU -> (build of torch, where pip finds it)
    "NVIDIA": ("cuda", "https://download.pytorch.org/whl/cu130"),
    "AMD": ("rocm", "https://download.pytorch.org/whl/rocm7.0"),
}


def check_gpu(facts: Facts) -> Check:
    """A GPU that this torch cannot use is the commonest reason for a slow server."""
    if not facts.gpus:
        return Check("gpu", "ok", "none that has a driver: models run on the CPU")
    found = " and ".join(facts.gpus)
    build = facts.torch_build
    if build is None or build in [BUILDS[make][0] for make in facts.gpus]:
        return Check("gpu", "ok", found)
    remedy = f"pip install --force-reinstall torch --index-url {BUILDS[facts.gpus[0]][1]}"
    return Check("gpu", "warn", f"{found}, and torch is built for {build}", remedy)


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


def check_memory(facts: Facts) -> Check:
    if facts.available_bytes is None:
        return Check("memory", "warn", "unknown", "give --kv-cache-memory-bytes when serving")
    found = f"{facts.available_bytes / GIB:.1f} GiB available"
    if facts.available_bytes < LEAST_MEMORY:
        remedy = "end other programs, or serve with --kv-cache-memory-bytes 268435456"
        return Check("memory", "warn", found, remedy)
    return Check("memory", "ok", found)
