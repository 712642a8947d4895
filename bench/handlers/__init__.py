"""The route GET /hello?name= in other frameworks, written as in their documentation."""
