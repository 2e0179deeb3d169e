"""inferd plugin: GGUF weights that stay packed."""
