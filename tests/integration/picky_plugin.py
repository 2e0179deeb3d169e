"""An installed plugin whose logits processor raises for requests with a seed of its choice."""

from __future__ import annotations

from pathlib import Path

MODULE = """
from inferd.contracts.logits_processor import LogitsProcessor
from inferd.plugin import hookimpl

APPLY, ADMIT = 666, 667  # seeds


@hookimpl
def inferd_register_logits_processors(registry):
    registry.add("picky", "picky_plugin_module:Picky", summary="raises when asked to")


class Picky(LogitsProcessor):
    name = "picky"

    def admit(self, params):
        if params.seed == ADMIT:
            raise ValueError("this one is not admitted")
        return {} if params.seed == APPLY else None

    def apply(self, logits_NV, rows_N, columns):
        raise ValueError("this one is not sampled")
"""


def install(folder: Path) -> None:
    """What pip would leave in `folder`, which the caller puts on the path."""
    (folder / "picky_plugin_module.py").write_text(MODULE)
    info = folder / "picky_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: picky-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[inferd]\npicky = picky_plugin_module\n")
