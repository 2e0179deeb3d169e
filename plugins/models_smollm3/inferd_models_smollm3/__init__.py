"""inferd plugin: SmolLM3."""
