"""Structured outputs through xgrammar."""
