"""inferd plan: what fits on this machine or on a GPU, from config.json alone."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inferd.cli.plan_devices import GPU_MIB
from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command

if TYPE_CHECKING:
    from inferd.cli.plan_sizes import Plan
    from inferd.host.host import Host
    from inferd.runner.outline import Outline

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class PlanCommand(Command):
    """Nothing is loaded, and from a hub only config.json is fetched. Exit code 4: does not fit."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        self._host: Host = parser.plugins  # type: ignore[attr-defined] # inferd.cli.Parser has it
        parser.add_argument(
            "model", help="a directory with config.json, a .gguf, a hub id, an alias"
        )
        parser.add_argument("--gpu", metavar="NAME", help=f"instead of here: {', '.join(GPU_MIB)}")
        parser.add_argument("--json", action="store_true", help="one JSON object")
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        from inferd.cli.plan_devices import named_gpu, this_machine
        from inferd.cli.plan_sizes import plan
        from inferd.runner.outline import outline

        config = engine_config(args, args.model)
        device = named_gpu(args.gpu, config) if args.gpu else this_machine(config, self._host)
        hf = _read_config(args.model, config.model.revision)
        found = outline(config, self._host, hf, device.preferred_dtype, device.platform)
        planned = plan(found, device, config)
        if args.json:
            print(json.dumps({**_facts(found), **asdict(planned), "flags": planned.flags}))
        else:
            print("\n".join(_text(args.model, found, planned)))
        return 0


def _read_config(model: str, revision: str | None) -> dict[str, Any]:
    """Raises what resolving the model and reading the file raise."""
    from inferd.loading.config_json import FILES, read_config
    from inferd.loading.gguf_config import open_config
    from inferd.loading.sources import resolve

    path = resolve(model, revision=revision, hub_files=FILES)
    return open_config(path) if path.suffix == ".gguf" else read_config(path)


def _facts(found: Outline) -> dict[str, Any]:
    return {
        "architecture": found.config.architecture,
        "dtype": str(found.config.dtype).removeprefix("torch."),
        "num_weights": found.num_weights,
        "bits": found.bits,
    }


def _text(model: str, found: Outline, plan: Plan) -> Iterator[str]:
    facts = _facts(found)
    stored = f", stored in {found.bits} bits" if found.bits else f" in {facts['dtype']}"
    yield f"{model}: {facts['architecture']}, {found.num_weights / 1e6:,.0f} million weights"
    yield f"  weights    {_size(plan.weight_bytes)}{stored}"
    yield f"  KV cache   {_size(plan.kv_bytes_per_token)} a token in {facts['dtype']}"
    yield f"on {plan.device}, {_size(plan.free_bytes)} free:"
    if plan.workspace_bytes:
        yield f"  a step     about {_size(plan.workspace_bytes)}"
    yield f"  KV cache   {_size(plan.kv_bytes)} = {plan.kv_tokens:,} tokens"
    for length, count in plan.at_once.items():
        most = f" (run together: {plan.max_num_seqs:,})" if count > plan.max_num_seqs else ""
        yield f"  at once    {count:,} requests of {length:,} tokens{most}"
    if plan.max_model_len < plan.model_len:
        yield f"  the context of {plan.model_len:,} tokens does not fit"
    yield f"try: {shlex.join(['inferd', 'serve', model, *plan.flags])}"


def _size(num_bytes: int) -> str:
    if num_bytes >= GIB:
        return f"{num_bytes / GIB:.1f} GiB"
    return f"{num_bytes / MIB:.0f} MiB" if num_bytes >= MIB else f"{num_bytes / KIB:.1f} KiB"
