"""The key from which the secrets of all webhooks are derived: a parameter of AWS Systems Manager, encrypted by KMS.

Nothing else keeps it. If it is lost, all secrets change.
"""

from __future__ import annotations

import base64
import functools
import os

from botocore.exceptions import ClientError

from chalicelib import aws, config
from chalicelib.aws import failures


@functools.cache
def read() -> bytes:
    """Return the key. It is read once per process. Raise ParameterNotFound, a ClientError, if there is none yet."""
    answer = aws.ssm().get_parameter(Name=_name(), WithDecryption=True)
    return base64.b64decode(answer["Parameter"]["Value"])


def read_or_create() -> bytes:
    """Return the key, which is made if there is none. If several processes make one, all return the first."""
    try:
        return read()
    except ClientError as error:
        if failures.error_code(error) != "ParameterNotFound":
            raise
    try:
        value = base64.b64encode(os.urandom(32)).decode()
        aws.ssm().put_parameter(Name=_name(), Value=value, Type="SecureString")
    except ClientError as error:
        if failures.error_code(error) != "ParameterAlreadyExists":
            raise
    return read()


def _name() -> str:
    return f"/{config.APP}/{config.settings().stage}/webhook-key"
