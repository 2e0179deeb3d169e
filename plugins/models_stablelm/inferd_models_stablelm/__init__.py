"""inferd plugin: the StableLM family."""
