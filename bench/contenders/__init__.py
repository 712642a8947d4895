"""The same route in other frameworks: GET /hello?name=, as their own documentation would write it."""
