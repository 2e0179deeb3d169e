"""inferd plugin: BLOOM."""
