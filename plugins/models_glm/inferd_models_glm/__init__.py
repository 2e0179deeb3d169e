"""inferd plugin: the GLM-4 family, dense."""
