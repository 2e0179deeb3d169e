"""Command: a word of the command line. Only the chosen word is imported."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from inferd.config.base import Options


class Command(ABC):
    options: ClassVar[type[Options] | None] = None
    """Options that inferd.toml holds in a section of the command's name; for `configure`,
    `inferd.config.flags.add_flags` makes flags of them, for `run`, `command_options` reads them."""

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare flags."""

    @abstractmethod
    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code. The caller shows InferdErrors without a traceback."""
