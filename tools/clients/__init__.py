"""Generate typed clients of the API from the OpenAPI document."""
