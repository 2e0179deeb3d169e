"""PUBLIC: all that a plugin's `plugin.py` needs.

A plugin is an entry point in the group `inferd` that names a module with functions marked
`@hookimpl`; each fills a Registry with "module:attr" strings. See `hookspecs` for the kinds.
"""

from __future__ import annotations

import pluggy

from inferd.plugin.registry import Entry, Registry

API = 1
"""A plugin that needs a newer contract says `INFERD_API = 2` and is refused by an older core."""

hookimpl = pluggy.HookimplMarker("inferd")

__all__ = ["API", "Entry", "Registry", "hookimpl"]
