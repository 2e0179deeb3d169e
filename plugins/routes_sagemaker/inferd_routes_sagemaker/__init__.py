"""inferd plugin: the routes that SageMaker asks of a container."""
