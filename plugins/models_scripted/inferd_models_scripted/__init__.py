"""inferd plugin: given tokens at a given speed, in place of a model."""
