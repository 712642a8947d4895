"""Who a request comes from, as ministack itself decides it."""

from __future__ import annotations

from ministack.core.iam_evaluator import is_root_access_key
from ministack.core.router import extract_access_key_id
from ministack.services import s3, sts


class Callers:
    """ministack's part in ``guard.Guard``; ``secret`` is that of this installation's root keys."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def access_key(self, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """Return the access key that a request names, or ""."""
        return str(extract_access_key_id(headers, query))

    def is_unchecked_root(self, access_key: str) -> bool:
        """Return whether the key is root with no signature checked."""
        return bool(is_root_access_key(access_key))

    def add_root(self, access_key: str, account: str) -> None:
        """Let ``access_key`` be the root of ``account``, with the secret of this installation."""
        sts.register_session(
            access_key, {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "SecretAccessKey": self._secret}
        )

    def form_fields(self, content_type: str, body: bytes) -> set[str]:
        """Return the names, in lower case, of a form's fields."""
        parts = s3._parse_multipart_form(content_type, body)
        return {name.lower() for name, *_ in parts or ()}
