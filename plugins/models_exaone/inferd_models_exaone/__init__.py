"""inferd plugin: EXAONE 4."""
