"""Core's and the server's own plugins keep what all plugins owe."""

from __future__ import annotations

from inferd.testing import PluginContract


class TestBuiltin(PluginContract):
    plugin = "builtin"


class TestServer(PluginContract):
    plugin = "server"
