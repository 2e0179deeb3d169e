"""GET /docs: the routes and their bodies as one page, without anything from elsewhere."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from inferd_server import pages
from inferd_server.service import Service

PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>inferd: API</title>
  <link rel="icon" href="/pages/icon.svg">
  <link rel="stylesheet" href="/pages/base.css">
  <link rel="stylesheet" href="/pages/docs.css">
</head>
<body>
  <header>
    <strong class="brand">inferd</strong>
    <nav><a href="/">Chat</a><a href="/dashboard">Dashboard</a></nav>
  </header>
  <main>
    <p>What this server answers to. For programs: <a href="/openapi.json">/openapi.json</a></p>
    {routes}
    <h2>Bodies</h2>
    {schemas}
  </main>
</body>
</html>
"""


def build(service: Service) -> APIRouter:  # noqa: ARG001 - the application knows its routes
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(request.app.openapi()), headers=pages.HEADERS)

    return router


def _page(document: dict[str, Any]) -> str:
    routes = [
        _route(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [_details(name, schema) for name, schema in document["components"]["schemas"].items()]
    return PAGE.format(routes="\n    ".join(routes), schemas="\n    ".join(schemas))


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    body = f' <a href="#{html.escape(name)}">{html.escape(name)}</a>' if name else ""
    about = html.escape(operation.get("description", ""))
    return f"<p><code>{method} {html.escape(path)}</code>{body}<br>{about}</p>"


def _details(name: str, schema: dict[str, Any]) -> str:
    name, shown = html.escape(name), html.escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f'<details id="{name}"><summary>{name}</summary><pre>{shown}</pre></details>'
