"""inferd serve: flags, a bound socket, then the server's life."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import time

from inferd.config.engine import EngineConfig
from inferd.config.flags import add_engine_flags, add_flags, command_options, engine_config
from inferd.contracts.command import Command
from inferd_server import logs
from inferd_server.listener import listen
from inferd_server.options import ServeOptions
from inferd_server.settings import Settings

CORES_PER_FRONT_END = 8
MOST_FRONT_ENDS = 4  # chosen without being asked


class ServeCommand(Command):
    """The port is taken before anything slow is imported and before the model is loaded."""

    options = ServeOptions

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "model", nargs="?", default="smollm2", help="a directory, a .gguf, a hub id, an alias"
        )
        add_flags(parser, "server options", ServeOptions)
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        began = time.monotonic()
        options = command_options(args, "serve", ServeOptions)
        settings = Settings.of(args.model, options)
        config = engine_config(args, args.model)
        count = options.front_ends or _default_front_ends()
        with contextlib.ExitStack() as closing:
            listeners = listen(settings.host, settings.port, count)
            for listener in listeners:
                closing.enter_context(listener)
            logs.configure(settings.log_format, settings.access_log)
            return _serve(config, settings, listeners, began)


def _default_front_ends() -> int:
    """More than one where the engine leaves cores to them: a busy one takes a core and 100 MB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(MOST_FRONT_ENDS, (cores or 1) // CORES_PER_FRONT_END))


def _serve(
    config: EngineConfig, settings: Settings, listeners: list[socket.socket], began: float
) -> int:
    import resource

    import uvloop

    from inferd_server.banner import Banner
    from inferd_server.lifecycle import serve
    from inferd_server.supervisor import supervise

    if settings.is_open:
        Banner(settings).warn(
            f"--host {settings.host} without an API key lets everyone who reaches this machine "
            "use the model; set --api-key-file or INFERD_API_KEY"
        )
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    (listener, *others) = listeners
    life = (
        supervise(config, settings, listeners, began)
        if others
        else (serve(config, settings, listener, began))
    )
    code: int = uvloop.run(life)
    return code
