"""inferd plugin: the Falcon family."""
