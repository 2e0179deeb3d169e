"""inferd plugin: the Cohere family: Command-R, R+, R7B and A."""
