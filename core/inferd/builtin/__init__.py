"""Plugins that live in core and use the same hooks as any other."""
