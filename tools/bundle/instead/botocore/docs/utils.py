"""The names that botocore.handlers imports: what it registers for events that are sent while documentation is made."""

from typing import Any


class _Ignoring:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def ignore(self, event_name: str, section: Any, **_: Any) -> None:
        """Nobody makes documentation here."""

    append_documentation = ignore
    document_auto_populated_param = ignore
    hide_param = ignore
    replace_documentation_for_matching_shape = ignore


class AppendParamDocumentation(_Ignoring):
    pass


class AutoPopulatedParam(_Ignoring):
    pass


class DocumentModifiedShape(_Ignoring):
    pass


class HideParamFromOperations(_Ignoring):
    pass
