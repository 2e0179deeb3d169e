"""The pages: a chat at `/` and live figures at `/dashboard`, with the styles and scripts they load.

They are static and open to everybody; what their scripts ask the server for needs the key that the
user types in. Nothing comes from another host, and the policy sent with them forbids it.
"""

from __future__ import annotations

from importlib.resources import files

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HOMES = {"chat.html": "/", "dashboard.html": "/dashboard"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def _paths() -> dict[str, str]:
    """Path of the URL -> name of the file."""
    names = sorted(each.name for each in files(__name__).iterdir())
    served = [name for name in names if name.rpartition(".")[2] in KINDS]
    return {HOMES.get(name, f"/pages/{name}"): name for name in served}


PATHS = _paths()


def read(path: str) -> tuple[bytes, str]:
    """(content, media type) of one of PATHS."""
    name = PATHS[path]
    return files(__name__).joinpath(name).read_bytes(), KINDS[name.rpartition(".")[2]]
