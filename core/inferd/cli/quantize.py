"""inferd quantize: a smaller copy of a model, written by the library that does it best.

The libraries want versions of torch and numpy that exclude each other's and inferd's, so each runs
in an environment of its own. Here stands what is checked before; `quantizers` has what runs there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inferd.config.paths import cache_dir
from inferd.contracts.command import Command
from inferd.errors import EnvironmentProblem, UsageError

SCRIPTS = Path(__file__).parent / "quantizers"
LIBRARIES = {
    "awq": "gptqmodel",
    "gptq": "gptqmodel",
    "fp8": "llmcompressor",
    "fp8-static": "llmcompressor",
    "fp8-block": "llmcompressor",
    "int8": "llmcompressor",
}
WITHOUT_TEXTS = ("fp8", "fp8-block")
GPTQ_BITS = (2, 3, 4, 8)


class QuantizeCommand(Command):
    """Needs `make oracles`, or the lines that the command prints where that is missing."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("model", help="a directory with config.json and safetensors, a hub id")
        parser.add_argument("--to", required=True, choices=LIBRARIES, help=", ".join(LIBRARIES))
        parser.add_argument(
            "--output", type=Path, metavar="FOLDER", help="a new one; default: ./MODEL-TO"
        )
        parser.add_argument(
            "--calibration",
            type=Path,
            metavar="FILE",
            help=f"texts, one a line; needed but for {' and '.join(WITHOUT_TEXTS)}",
        )
        parser.add_argument("--bits", type=int, default=4, help="awq: 4; gptq: 2, 3, 4 or 8")
        parser.add_argument(
            "--group-size", type=int, default=128, help="inputs to a scale, -1 for all; awq, gptq"
        )
        parser.add_argument(
            "--act-order", action="store_true", help="gptq: the inputs that matter most first"
        )

    def run(self, args: argparse.Namespace) -> int:
        from inferd.loading.sources import resolve

        _check(args)
        python = environment(LIBRARIES[args.to])
        model = resolve(args.model)
        _check_source(model)
        output = args.output or Path(f"{model.name}-{args.to}")
        _check_output(output)
        job = {
            "model": str(model.resolve()),
            "output": str(output.resolve()),
            "to": args.to,
            "texts": _texts(args.calibration),
            "bits": args.bits,
            "group_size": args.group_size,
            "act_order": args.act_order,
        }
        _run(python, LIBRARIES[args.to], job)
        print(f"{output}: inferd serve {output}")
        return 0


def environment(library: str) -> Path:
    """The interpreter of the library's environment; raises EnvironmentProblem where none is."""
    folder = cache_dir().absolute() / "oracles" / library
    python = folder / "bin" / "python"
    if python.exists():
        return python
    raise EnvironmentProblem(
        f"{library}, which quantizes, is not in {folder}\n"
        f"  try: python3.11 -m venv {folder}\n"
        f"       {python} -m pip install -r {SCRIPTS / library}.txt\n"
        "  in a checkout: make oracles"
    )


def _check_source(model: Path) -> None:
    """Raises UsageError for what is quantized already, or no directory of safetensors."""
    from inferd.loading.mapped import read_json

    if model.suffix == ".gguf":
        raise UsageError(f"{model} is a .gguf; quantizing starts from a directory of safetensors")
    stored = read_json(model / "config.json").get("quantization_config")
    if stored:
        raise UsageError(f"{model} is quantized already: {stored.get('quant_method')}")


def _check(args: argparse.Namespace) -> None:
    """Raises UsageError for flags that contradict each other."""
    known = GPTQ_BITS if args.to == "gptq" else (4,)
    if args.bits not in known:
        usual = ", ".join(map(str, known))
        raise UsageError(f"--to {args.to} has bits {usual}, found --bits {args.bits}")
    if args.act_order and args.to != "gptq":
        raise UsageError(f"--act-order goes with --to gptq, not with {args.to}")
    if args.calibration is None and args.to not in WITHOUT_TEXTS:
        raise UsageError(
            f"--to {args.to} needs --calibration FILE: some hundred texts like those that the "
            "model will see, one a line"
        )


def _texts(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--calibration {path}: {error}") from None
    if not texts:
        raise UsageError(f"--calibration {path} has no texts, expected one a line")
    return texts


def _check_output(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is there already; name a new folder: --output FOLDER")


def _run(python: Path, library: str, job: dict[str, Any]) -> None:
    """Its progress goes to the terminal, what it leaves where it runs is thrown away."""
    command, text = [python, SCRIPTS / f"with_{library}.py"], json.dumps(job)
    with TemporaryDirectory() as folder:
        done = subprocess.run(command, input=text, text=True, cwd=folder, check=False)
    if done.returncode:
        raise EnvironmentProblem(f"{library} ended with status {done.returncode}; see above")
