"""Registers the command that starts the HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.command import Command


@hookimpl
def inferd_register_commands(registry: Registry[Command]) -> None:
    """`inferd serve`."""
    registry.add("serve", "inferd_server.serve:ServeCommand", summary="serve the OpenAI API")
