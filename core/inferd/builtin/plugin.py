"""Registers what core itself brings: the CPU, torch kernels, formats, policies and commands."""

from __future__ import annotations

from typing import Any

from inferd.plugin import Registry, hookimpl


@hookimpl
def inferd_register_platforms(registry: Registry[Any]) -> None:
    registry.add("cpu", "inferd.builtin.cpu:CpuPlatform", summary="any CPU, through torch")
    registry.add(
        "cuda",
        "inferd.builtin.cuda:CudaPlatform",
        summary="one NVIDIA GPU, with recorded steps",
        priority="tuned",
    )


@hookimpl
def inferd_register_ops(registry: Registry[Any]) -> None:
    registry.add(
        "torch",
        "inferd.builtin.ops_torch:TorchOps",
        summary="plain torch, the reference",
        priority="reference",
    )
    registry.add(
        "cpu",
        "inferd.builtin.ops_cpu:CpuOps",
        summary="oneDNN with packed weights",
    )


@hookimpl
def inferd_register_attention(registry: Registry[Any]) -> None:
    registry.add(
        "torch",
        "inferd.builtin.attention_torch:TorchAttention",
        summary="paged attention in plain torch",
        priority="reference",
    )
    registry.add(
        "cpu",
        "inferd.builtin.attention_cpu:CpuAttention",
        summary="decoding rows kept contiguous, prompts in blocks",
    )


@hookimpl
def inferd_register_quantization(registry: Registry[Any]) -> None:
    registry.add("unquantized", "inferd.builtin.unquantized:Unquantized", summary="dense weights")
    registry.add("gguf", "inferd.builtin.unquantized:UnpackedGguf", summary="unpacked when loaded")


@hookimpl
def inferd_register_loaders(registry: Registry[Any]) -> None:
    registry.add(
        "safetensors", "inferd.loading.safetensors:SafetensorsLoader", summary="sharded or not"
    )
    registry.add("gguf", "inferd.loading.gguf:GgufLoader", summary="F32 to Q2_K, unpacked at load")
    registry.add("dummy", "inferd.loading.dummy:DummyLoader", summary="random weights, for speed")


@hookimpl
def inferd_register_executors(registry: Registry[Any]) -> None:
    registry.add(
        "in_process",
        "inferd.execution.in_process:InProcessExecutor",
        summary="one device, a thread of the engine's process",
    )


@hookimpl
def inferd_register_schedule_policies(registry: Registry[Any]) -> None:
    registry.add("fcfs", "inferd.scheduling.policy:FcfsPolicy", summary="first come, first served")
    registry.add(
        "priority", "inferd.scheduling.policy:PriorityPolicy", summary="smallest number first"
    )


@hookimpl
def inferd_register_commands(registry: Registry[Any]) -> None:
    summaries = {
        "run": "answer one prompt",
        "chat": "talk with a model in the terminal",
        "models": "list, pull and show models",
        "plugins": "list, explain, check and create plugins",
        "connect": "print what a coding agent needs to use a server",
        "completion": "print a script that completes words in bash, zsh or fish",
        "config": "show every option and where its value comes from",
        "bench": "measure throughput, latency, serving, starts, steps and kernels",
        "plan": "say what fits, before anything is loaded",
        "quantize": "write a smaller copy of a model",
        "doctor": "check this machine and installation",
    }
    for word, summary in summaries.items():
        registry.add(word, f"inferd.cli.{word}:{word.title()}Command", summary=summary)
