"""Which operations of AWS each function calls: what its policy is held to.

Tests hold the list to what the functions do (tests/integration/test_rights.py), operation by operation.
"""

from __future__ import annotations

PRESIGNED_POST = "PresignedPost"
"""Leave to POST an object: no operation of S3's API, but something that is signed, and used by somebody else."""

CALLS: dict[str, dict[str, list[str]]] = {
    "api_handler": {
        "dynamodb": ["DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"],
        "s3": ["DeleteObject", "GetObject", "ListObjectsV2", PRESIGNED_POST, "PutObject"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "on_upload": {
        "dynamodb": ["GetItem", "PutItem"],
        "s3": ["DeleteObject"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "on_messages": {
        "dynamodb": ["DeleteItem", "GetItem", "PutItem", "TransactWriteItems"],
        "s3": ["DeleteObject", "GetObject", "ListObjectsV2", "PutObject"],
        "sqs": ["ChangeMessageVisibilityBatch", "DeleteMessageBatch", "GetQueueUrl"],
    },
    "clean_up": {
        "dynamodb": ["DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"],
        "s3": ["DeleteObject", "ListObjectsV2"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "authorize": {},
}
"""By function (as app.py names it; ``api_handler`` is all routes) and by service, as botocore names them.

``chalice local``, which runs from the sources, calls DynamoDB's DescribeTable besides.
"""
