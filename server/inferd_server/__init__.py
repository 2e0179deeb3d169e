"""The HTTP surface of inferd: the only code that imports fastapi."""
