"""Plain ASGI layers around the routes, outermost first: reply head, catch, in flight, auth,
limits."""
