"""inferd serve: flags, a bound socket, then the server's life."""

from __future__ import annotations

import argparse
import socket
import time
from pathlib import Path

from inferd.config.engine import EngineConfig
from inferd.config.flags import add_engine_flags, engine_config
from inferd.contracts.command import Command
from inferd_server.listener import listen
from inferd_server.settings import Settings


class ServeCommand(Command):
    """The port is taken before anything slow is imported and before the model is loaded."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "model", nargs="?", default="smollm2", help="a directory, a .gguf, a hub id, an alias"
        )
        group = parser.add_argument_group("server options")
        group.add_argument("--host", default="127.0.0.1", help="address to listen on")
        group.add_argument("--port", type=int, default=8000, help="0: any free one")
        group.add_argument(
            "--api-key", action="append", metavar="KEY", help="repeatable; also INFERD_API_KEY"
        )
        group.add_argument("--api-key-file", type=Path, metavar="FILE", help="one key a line")
        group.add_argument(
            "--served-model-name", nargs="+", metavar="NAME", help="default: short name, full id"
        )
        group.add_argument(
            "--drain-timeout",
            type=float,
            default=25.0,
            metavar="SECONDS",
            help="what running requests get after SIGTERM (default: 25)",
        )
        add_engine_flags(parser)

    def run(self, args: argparse.Namespace) -> int:
        began = time.monotonic()
        settings = Settings.from_args(args)
        config = engine_config(args, args.model)
        with listen(settings.host, settings.port) as listener:
            return _serve(config, settings, listener, began)


def _serve(config: EngineConfig, settings: Settings, listener: socket.socket, began: float) -> int:
    import resource

    import uvloop

    from inferd_server.banner import Banner
    from inferd_server.lifecycle import serve

    if settings.is_open:
        Banner(settings).warn(
            f"--host {settings.host} without an API key lets everyone who reaches this machine "
            "use the model; set --api-key-file or INFERD_API_KEY"
        )
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    code: int = uvloop.run(serve(config, settings, listener, began))
    return code
