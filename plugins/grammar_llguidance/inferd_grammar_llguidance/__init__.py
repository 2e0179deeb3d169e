"""Structured outputs through llguidance."""
