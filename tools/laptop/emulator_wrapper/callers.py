"""Find out who sent a request, with ministack's own functions."""

from __future__ import annotations

from ministack.core.iam_evaluator import is_root_access_key
from ministack.core.router import extract_access_key_id
from ministack.services import s3, sts


class Callers:
    """Implement ``request_guard.Ministack``. ``secret`` is the secret key of this installation's root access keys."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def access_key(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """Return the access key of a request, or an empty string."""
        return str(extract_access_key_id(headers, query))

    def is_unchecked_root(self, access_key: str) -> bool:
        """Return whether ministack takes the key for root without checking the signature."""
        return bool(is_root_access_key(access_key))

    def add_root(self, access_key: str, account: str) -> None:
        """Register ``access_key`` as a root key of ``account``, with the secret key of this installation."""
        sts.register_session(
            access_key, {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "SecretAccessKey": self._secret}
        )

    def form_fields(self, content_type: str, body: bytes) -> set[str]:
        """Return the names of a form's fields, in lower case."""
        parts = s3._parse_multipart_form(content_type, body)
        return {name.lower() for name, *_ in parts or ()}
