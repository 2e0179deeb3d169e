"""inferd serve: flags, a bound socket, then the server's life."""

from __future__ import annotations

import argparse
import socket
import time

from inferd.config.engine import EngineConfig
from inferd.config.flags import add_engine_flags, add_flags, command_options, engine_config
from inferd.contracts.command import Command
from inferd_server import logs
from inferd_server.listener import listen
from inferd_server.options import ServeOptions
from inferd_server.settings import Settings


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
        with listen(settings.host, settings.port) as listener:
            logs.configure(options.log_format, options.access_log)
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
