"""Plain ASGI layers around the routes, outermost first: request id, catch, in flight, auth,
limits."""
