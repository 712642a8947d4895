"""The AWS operations that each function calls, and so needs permissions for.

``tests/integration/test_rights.py`` checks the list against the calls and the policies of the functions.
"""

from __future__ import annotations

PRESIGNED_POST = "PresignedPost"
"""A presigned POST: not an operation of S3's API, but signed by the function, and used by a client."""

OPERATIONS: dict[str, dict[str, list[str]]] = {
    "api_handler": {
        "dynamodb": ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"],
        "s3": ["DeleteObject", "GetObject", "ListObjectsV2", PRESIGNED_POST, "PutObject"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
        "ssm": ["GetParameter", "PutParameter"],
    },
    "on_upload": {
        "dynamodb": ["GetItem", "PutItem", "TransactWriteItems"],
        "s3": ["DeleteObject"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "on_messages": {
        "dynamodb": ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"],
        "s3": [
            "CompleteMultipartUpload",
            "CopyObject",
            "CreateMultipartUpload",
            "DeleteObject",
            "GetObject",
            "ListObjectsV2",
            "PutObject",
            "UploadPartCopy",
        ],
        "sqs": ["ChangeMessageVisibilityBatch", "DeleteMessageBatch", "GetQueueUrl", "SendMessageBatch"],
    },
    "on_deliveries": {
        "dynamodb": ["GetItem", "PutItem"],
        "sqs": ["ChangeMessageVisibilityBatch", "DeleteMessageBatch", "GetQueueUrl"],
        "ssm": ["GetParameter"],
    },
    "on_change": {
        "dynamodb": ["GetItem", "UpdateItem"],
        "events": ["PutEvents"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "clean_up": {
        "dynamodb": ["DeleteItem", "GetItem", "PutItem", "Query", "TransactWriteItems"],
        "s3": ["DeleteObject", "ListObjectsV2"],
        "sqs": ["GetQueueUrl", "SendMessageBatch"],
    },
    "authorize": {},
}
"""By function (its name in app.py; ``api_handler`` has all routes) and by service, with botocore's names.

``chalice local`` also calls DynamoDB's DescribeTable, and the operator's command ``reindex`` its Scan.
"""
