"""config.json of a directory, with what auto-gptq once wrote into a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferd.loading.mapped import read_json

FILES = ("config.json", "quantize_config.json")


def read_config(folder: Path) -> dict[str, Any]:
    """Raises CheckpointError naming the file that is not readable."""
    name, older = FILES
    config = read_json(folder / name)
    if not config.get("quantization_config") and (folder / older).exists():
        config["quantization_config"] = {"quant_method": "gptq", **read_json(folder / older)}
    return config
