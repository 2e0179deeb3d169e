"""inferd plugin: the Gemma family: Gemma 1, 2 and the text model of Gemma 3."""
