"""The master key, from which the secrets of all webhooks are derived.

It is a parameter of AWS Systems Manager, encrypted by KMS, and stored nowhere else. If it is lost, all secrets change.
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
    name = parameter_name(config.settings().stage)
    answer = aws.ssm().get_parameter(Name=name, WithDecryption=True)
    return base64.b64decode(answer["Parameter"]["Value"])


def read_or_create() -> bytes:
    """Return the key, and create it if there is none. If several processes create one at once, all return the first."""
    try:
        return read()
    except ClientError as error:
        if failures.error_code(error) != "ParameterNotFound":
            raise
    try:
        value = base64.b64encode(os.urandom(32)).decode()
        name = parameter_name(config.settings().stage)
        aws.ssm().put_parameter(Name=name, Value=value, Type="SecureString")
    except ClientError as error:
        if failures.error_code(error) != "ParameterAlreadyExists":
            raise
    return read()


def parameter_name(stage: str) -> str:
    """Return the name of the parameter with the key of a stage."""
    return f"/{config.APP}/{stage}/webhook-key"
