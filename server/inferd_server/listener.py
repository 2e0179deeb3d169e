"""The listening socket: bound before anything slow happens."""

from __future__ import annotations

import errno
import socket

from inferd.errors import EnvironmentProblem

BACKLOG = 4096


def listen(host: str, port: int) -> socket.socket:
    """A socket that already queues connections. Raises EnvironmentProblem, naming host:port."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise EnvironmentProblem(f"--host {host}: {error}") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise EnvironmentProblem(_why(host, port, error)) from None
    listener.setblocking(False)
    return listener


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{host}:{port} is in use by another process\n"
            f"  take another port: --port {port + 1 if port < 65535 else 0} (0: any free one)"
        )
    if error.errno == errno.EACCES:
        return f"{host}:{port} needs privileges; take a port above 1023: --port 8000"
    return f"cannot listen on {host}:{port}: {error.strerror}"


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
