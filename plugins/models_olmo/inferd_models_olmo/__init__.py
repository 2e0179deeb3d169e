"""inferd plugin: the OLMo family: OLMo 1, 2 and 3."""
