"""The listening socket: bound before anything slow happens."""

from __future__ import annotations

import errno
import socket

from inferd.errors import EnvironmentProblem

BACKLOG = 4096
SEND_BYTES = 128 << 10
"""What the system keeps of a reply that nobody reads, instead of up to 4 MiB for each connection:
a client that stops reading is then noticed, and its request ended.
"""


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Sockets that already queue connections, which the system spreads over them.

    Raises EnvironmentProblem, naming host:port.
    """
    first = _listen(host, port)
    if count == 1:
        return [first]
    # only a socket that is alone finds out whether it is: those that share take each other in
    port = first.getsockname()[1]
    first.close()
    return [_listen(host, port, shares=True) for _ in range(count)]


def _listen(host: str, port: int, *, shares: bool = False) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise EnvironmentProblem(f"--host {host}: {error}") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)  # of what it accepts, too
    if shares:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
