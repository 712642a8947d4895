"""Make ``chalicelib/openapi.json`` from the routes in app.py, the models and the errors."""
