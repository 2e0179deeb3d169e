"""inferd plugin: the Nemotron family, dense."""
