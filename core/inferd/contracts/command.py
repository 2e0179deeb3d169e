"""Command: a word of the command line. Only the chosen word is imported."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod


class Command(ABC):
    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare flags."""

    @abstractmethod
    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code. The caller shows InferdErrors without a traceback."""
