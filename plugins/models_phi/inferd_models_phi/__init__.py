"""inferd plugin: the Phi family: Phi 1, 1.5, 2, 3, 3.5 and 4."""
