"""Routes: one noun per file, each with `build(service) -> APIRouter`."""
