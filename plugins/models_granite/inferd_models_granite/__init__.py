"""inferd plugin: the Granite family, dense."""
