"""The names that botocore.client and botocore.waiter import: docstrings that stay empty."""

from typing import Any


class _Empty(str):
    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> "_Empty":
        return super().__new__(cls)


class ClientMethodDocstring(_Empty):
    __slots__ = ()


class WaiterDocstring(_Empty):
    __slots__ = ()


class PaginatorDocstring(_Empty):
    __slots__ = ()
