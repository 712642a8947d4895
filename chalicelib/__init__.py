"""Vitrine's business logic: everything that ``app.py`` declares is done here."""
