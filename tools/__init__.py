"""Commands for developers and operators. None of this is deployed."""
