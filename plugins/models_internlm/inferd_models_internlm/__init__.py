"""inferd plugin: the InternLM family: InternLM 2, 2.5 and 3."""
