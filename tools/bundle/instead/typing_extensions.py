"""Stands in for typing_extensions in the bundle: what msgspec asks of it, every Python here has by itself.

Without a stand-in, the managed runtime's own might be found.
"""

from typing import NotRequired, Required, get_type_hints

__all__ = ["NotRequired", "Required", "get_type_hints"]
