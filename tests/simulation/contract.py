"""Tests of the behaviour of DynamoDB, S3 and SQS on which the app relies, for the services in memory and the emulator.

``tests/simulation/test_contract.py`` and ``tests/e2e/test_simulated_aws.py`` run these same tests, each with its own
fixture ``services``.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError


class Services(NamedTuple):
    """The clients and their resources."""

    dynamodb: Any
    s3: Any
    sqs: Any
    events: Any
    ssm: Any
    table: str
    bucket: str
    queue_url: str
    """A queue whose messages become dead letters after two deliveries."""
    dead_bodies: Callable[[], list[str]]
    """Return the bodies of the dead letters."""
    post: Callable[[dict[str, Any], bytes], bool]
    """Upload a file with a presigned form, and return whether it was accepted."""
    stream: Callable[[], list[dict[str, Any]]]
    """Return all records of the table's stream."""


def code(call: Callable[[], Any]) -> str:
    """Return the code of the error with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


def reasons(call: Callable[[], Any]) -> list[str]:
    """Return the reasons for which a transaction is cancelled."""
    with pytest.raises(ClientError) as refused:
        call()
    assert refused.value.response["Error"]["Code"] == "TransactionCanceledException"
    return [one["Code"] for one in refused.value.response["CancellationReasons"]]


def key(partition: str, sort: str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


@pytest.fixture
def partition() -> str:
    """Return a key that no other test uses."""
    return f"OWNER#{uuid.uuid4()}"


class TestDynamoDB:
    ABSENT = "attribute_not_exists(pk)"

    def test_record_is_read_as_written(self, services: Services, partition: str) -> None:
        record = {**key(partition, "a"), "n": {"N": "1.5"}, "m": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}}}

        services.dynamodb.put_item(TableName=services.table, Item=record)

        found = services.dynamodb.get_item(TableName=services.table, Key=key(partition, "a"), ConsistentRead=True)
        assert found["Item"] == record

    def test_missing_record_is_not_in_the_response(self, services: Services, partition: str) -> None:
        assert "Item" not in services.dynamodb.get_item(TableName=services.table, Key=key(partition, "a"))

    def test_put_of_an_existing_record_is_refused_if_it_must_be_absent(
        self, services: Services, partition: str
    ) -> None:
        put = {"TableName": services.table, "Item": key(partition, "a"), "ConditionExpression": self.ABSENT}
        services.dynamodb.put_item(**put)

        assert code(lambda: services.dynamodb.put_item(**put)) == "ConditionalCheckFailedException"

    def test_put_on_another_version_is_refused(self, services: Services, partition: str) -> None:
        def put(version: int, on: int) -> None:
            services.dynamodb.put_item(
                TableName=services.table,
                Item={**key(partition, "a"), "version": {"N": str(version)}},
                ConditionExpression="version = :version",
                ExpressionAttributeValues={":version": {"N": str(on)}},
            )

        assert code(lambda: put(1, 0)) == "ConditionalCheckFailedException"
        services.dynamodb.put_item(TableName=services.table, Item={**key(partition, "a"), "version": {"N": "1"}})
        put(2, 1)
        assert code(lambda: put(3, 1)) == "ConditionalCheckFailedException"

    @pytest.mark.parametrize(("now", "taken"), [("99", False), ("100", True), ("101", True)])
    def test_or_needs_one_of_two_conditions(self, services: Services, partition: str, now: str, taken: bool) -> None:
        put = {
            "TableName": services.table,
            "Item": {**key(partition, "a"), "ttl": {"N": "100"}},
            "ConditionExpression": f"{self.ABSENT} OR #ttl <= :now",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {":now": {"N": now}},
        }
        services.dynamodb.put_item(**put)

        if taken:
            services.dynamodb.put_item(**put)
        else:
            assert code(lambda: services.dynamodb.put_item(**put)) == "ConditionalCheckFailedException"

    def test_missing_record_can_be_deleted(self, services: Services, partition: str) -> None:
        services.dynamodb.delete_item(TableName=services.table, Key=key(partition, "a"))

    def test_conditional_delete_of_a_missing_record_is_refused(self, services: Services, partition: str) -> None:
        delete = {
            "TableName": services.table,
            "Key": key(partition, "a"),
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": "1"}},
        }

        assert code(lambda: services.dynamodb.delete_item(**delete)) == "ConditionalCheckFailedException"

    def test_amounts_are_added_to_a_number(self, services: Services, partition: str) -> None:
        for amount in ("1", "2"):
            services.dynamodb.update_item(
                TableName=services.table,
                Key=key(partition, "a"),
                UpdateExpression="ADD #number :amount",
                ExpressionAttributeNames={"#number": "number"},
                ExpressionAttributeValues={":amount": {"N": amount}},
            )

        found = services.dynamodb.get_item(TableName=services.table, Key=key(partition, "a"), ConsistentRead=True)
        assert found["Item"] == {**key(partition, "a"), "number": {"N": "3"}}

    def test_stream_has_the_writes_that_change_something(self, services: Services, partition: str) -> None:
        first, second = ({**key(partition, "a"), "n": {"N": number}} for number in "12")
        put = {"Put": {"TableName": services.table, "Item": second}}
        services.dynamodb.put_item(TableName=services.table, Item=first)
        services.dynamodb.put_item(TableName=services.table, Item=first)
        services.dynamodb.transact_write_items(TransactItems=[put])
        services.dynamodb.transact_write_items(TransactItems=[put])
        for _ in range(2):
            services.dynamodb.delete_item(TableName=services.table, Key=key(partition, "a"))

        records = [one for one in services.stream() if one["dynamodb"]["Keys"] == key(partition, "a")]

        images = [(one["dynamodb"].get("OldImage"), one["dynamodb"].get("NewImage")) for one in records]
        assert images == [(None, first), (first, second), (second, None)]
        assert [one["eventName"] for one in records] == ["INSERT", "MODIFY", "REMOVE"]
        assert len({one["eventID"] for one in records}) == 3
        numbers = [int(one["dynamodb"]["SequenceNumber"]) for one in records]
        assert numbers == sorted(numbers)

    def test_transaction_writes_all_or_nothing(self, services: Services, partition: str) -> None:
        def write(*sorts: str) -> None:
            puts = [
                {"Put": {"TableName": services.table, "Item": key(partition, sort), "ConditionExpression": self.ABSENT}}
                for sort in sorts
            ]
            services.dynamodb.transact_write_items(TransactItems=puts)

        write("a", "b")

        assert reasons(lambda: write("c", "b")) == ["None", "ConditionalCheckFailed"]
        assert sorts(services, partition) == ["a", "b"]

    def test_transaction_puts_and_deletes(self, services: Services, partition: str) -> None:
        services.dynamodb.put_item(TableName=services.table, Item=key(partition, "a"))

        services.dynamodb.transact_write_items(
            TransactItems=[
                {"Delete": {"TableName": services.table, "Key": key(partition, "a")}},
                {"Put": {"TableName": services.table, "Item": key(partition, "b")}},
            ]
        )

        assert sorts(services, partition) == ["b"]

    def test_transaction_with_the_same_token_is_applied_once(self, services: Services, partition: str) -> None:
        put = {"Put": {"TableName": services.table, "Item": key(partition, "a"), "ConditionExpression": self.ABSENT}}
        token = str(uuid.uuid4())

        for _ in range(2):
            services.dynamodb.transact_write_items(TransactItems=[put], ClientRequestToken=token)

        assert sorts(services, partition) == ["a"]

    def test_condition_check_writes_nothing(self, services: Services, partition: str) -> None:
        def write(sort: str, condition: str) -> None:
            check = {"TableName": services.table, "Key": key(partition, "a"), "ConditionExpression": condition}
            put = {"TableName": services.table, "Item": key(partition, sort)}
            services.dynamodb.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])

        write("b", self.ABSENT)

        assert reasons(lambda: write("c", "attribute_exists(pk)")) == ["ConditionalCheckFailed", "None"]
        assert sorts(services, partition) == ["b"]

    @pytest.mark.parametrize(("actions", "taken"), [(100, True), (101, False)])
    def test_transaction_has_at_most_100_actions(
        self, services: Services, partition: str, actions: int, taken: bool
    ) -> None:
        puts = [
            {"Put": {"TableName": services.table, "Item": key(partition, f"a{number:03}")}} for number in range(actions)
        ]

        if taken:
            services.dynamodb.transact_write_items(TransactItems=puts)
        else:
            assert code(lambda: services.dynamodb.transact_write_items(TransactItems=puts)) == "ValidationException"

        assert len(sorts(services, partition)) == (actions if taken else 0)

    def test_transaction_with_two_actions_on_one_record_is_refused(self, services: Services, partition: str) -> None:
        actions = [
            {"Delete": {"TableName": services.table, "Key": key(partition, "a")}},
            {"Put": {"TableName": services.table, "Item": key(partition, "a")}},
        ]

        assert code(lambda: services.dynamodb.transact_write_items(TransactItems=actions)) == "ValidationException"

    def test_batch_has_the_records_that_exist(self, services: Services, partition: str) -> None:
        put_all(services, partition, "abc")
        keys = [key(partition, sort) for sort in "cax"]

        assert batch(services, keys) == ["a", "c"]

    def test_batch_of_more_than_100_keys_is_refused(self, services: Services, partition: str) -> None:
        keys = [key(partition, str(number)) for number in range(101)]

        assert code(lambda: batch(services, keys)) == "ValidationException"

    def test_batch_with_one_key_twice_is_refused(self, services: Services, partition: str) -> None:
        assert code(lambda: batch(services, [key(partition, "a")] * 2)) == "ValidationException"

    def test_scan_has_all_records_of_a_partition_in_order(self, services: Services, partition: str) -> None:
        put_all(services, partition, "cab")
        found: list[str] = []
        start: dict[str, Any] = {}

        while True:
            page = services.dynamodb.scan(TableName=services.table, ConsistentRead=True, Limit=2, **start)
            assert len(page["Items"]) <= 2
            found += [record["sk"]["S"] for record in page["Items"] if record["pk"]["S"] == partition]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

        assert found == ["a", "b", "c"]

    def test_query_between_two_keys_includes_both(self, services: Services, partition: str) -> None:
        put_all(services, partition, "abcde")

        assert between(services, partition, "b", "d") == ["b", "c", "d"]
        assert between(services, partition, "b", "d", ScanIndexForward=False) == ["d", "c", "b"]

    def test_query_by_prefix(self, services: Services, partition: str) -> None:
        put_all(services, partition, ["a", "b#1", "b#2", "c"])

        found = services.dynamodb.query(
            TableName=services.table,
            KeyConditionExpression="pk = :owner AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":owner": {"S": partition}, ":prefix": {"S": "b#"}},
            ConsistentRead=True,
        )

        assert [record["sk"]["S"] for record in found["Items"]] == ["b#1", "b#2"]

    @pytest.mark.parametrize("forward", [True, False])
    def test_pages_contain_all_records(self, services: Services, partition: str, forward: bool) -> None:
        put_all(services, partition, "abcde")
        found: list[str] = []
        start: dict[str, Any] = {}

        for _ in range(10):
            page = services.dynamodb.query(
                TableName=services.table,
                KeyConditionExpression="pk = :owner AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues={":owner": {"S": partition}, ":low": {"S": "a"}, ":high": {"S": "z"}},
                ScanIndexForward=forward,
                Limit=2,
                **start,
            )
            assert len(page["Items"]) <= 2
            found += [record["sk"]["S"] for record in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

        assert found == (list("abcde") if forward else list("edcba"))

    def test_index_has_the_keys_of_due_records_in_order(self, services: Services, partition: str) -> None:
        shard = partition[-8:]
        for sort, at in (("a", "3"), ("b", "1"), ("c", "2"), ("d", "9")):
            record = {**key(partition, sort), "dueShard": {"S": shard}, "dueAt": {"S": at}, "more": {"S": "x"}}
            services.dynamodb.put_item(TableName=services.table, Item=record)
        services.dynamodb.put_item(TableName=services.table, Item=key(partition, "e"))

        found = services.dynamodb.query(
            TableName=services.table,
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :at",
            ExpressionAttributeValues={":shard": {"S": shard}, ":at": {"S": "3"}},
        )

        assert [record["sk"]["S"] for record in found["Items"]] == ["b", "c", "a"]
        assert all(record.keys() == {"pk", "sk", "dueShard", "dueAt"} for record in found["Items"])

    def test_record_without_due_attributes_leaves_the_index(self, services: Services, partition: str) -> None:
        due = {**key(partition, "a"), "dueShard": {"S": partition}, "dueAt": {"S": "1"}}
        services.dynamodb.put_item(TableName=services.table, Item=due)
        services.dynamodb.put_item(TableName=services.table, Item=key(partition, "a"))

        found = services.dynamodb.query(
            TableName=services.table,
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :at",
            ExpressionAttributeValues={":shard": {"S": partition}, ":at": {"S": "3"}},
        )

        assert found["Items"] == []


def put_all(services: Services, partition: str, names: Any) -> None:
    for name in names:
        services.dynamodb.put_item(TableName=services.table, Item=key(partition, name))


def batch(services: Services, keys: list[dict[str, Any]]) -> list[str]:
    """Return the sort keys of the records with these keys. Request those again that were not processed."""
    found: list[str] = []
    request = {services.table: {"Keys": keys, "ConsistentRead": True}}
    while request:
        answer = services.dynamodb.batch_get_item(RequestItems=request)
        found += [record["sk"]["S"] for record in answer["Responses"][services.table]]
        request = answer["UnprocessedKeys"]
    return sorted(found)


def sorts(services: Services, partition: str) -> list[str]:
    """Return the sort keys of a partition's records."""
    return between(services, partition, "a", "z")


def between(services: Services, partition: str, low: str, high: str, **options: Any) -> list[str]:
    pages = services.dynamodb.get_paginator("query").paginate(
        TableName=services.table,
        KeyConditionExpression="pk = :owner AND sk BETWEEN :low AND :high",
        ExpressionAttributeValues={":owner": {"S": partition}, ":low": {"S": low}, ":high": {"S": high}},
        **options,
    )
    return [record["sk"]["S"] for page in pages for record in page["Items"]]


@pytest.fixture
def folder() -> str:
    """Return a prefix that no other test uses."""
    return f"{uuid.uuid4()}/"


class TestS3:
    def test_object_is_read_as_written(self, services: Services, folder: str) -> None:
        services.s3.put_object(Bucket=services.bucket, Key=f"{folder}a", Body=b"bytes", ContentType="image/jpeg")

        found = services.s3.get_object(Bucket=services.bucket, Key=f"{folder}a")

        with found["Body"] as body:
            assert body.read() == b"bytes"
        assert found["ContentLength"] == 5
        assert found["ContentType"] == "image/jpeg"
        assert found["ETag"] == f'"{hashlib.md5(b"bytes", usedforsecurity=False).hexdigest()}"'

    def test_missing_object(self, services: Services, folder: str) -> None:
        assert code(lambda: services.s3.get_object(Bucket=services.bucket, Key=f"{folder}a")) == "NoSuchKey"

    @pytest.mark.parametrize(("part", "found"), [("bytes=0-1", b"by"), ("bytes=3-3", b"e"), ("bytes=3-99", b"es")])
    def test_part_of_an_object(self, services: Services, folder: str, part: str, found: bytes) -> None:
        services.s3.put_object(Bucket=services.bucket, Key=f"{folder}a", Body=b"bytes")

        answer = services.s3.get_object(Bucket=services.bucket, Key=f"{folder}a", Range=part)

        with answer["Body"] as body:
            assert body.read() == found
        assert answer["ContentLength"] == len(found)

    def test_unchanged_object_is_not_read(self, services: Services, folder: str) -> None:
        put = services.s3.put_object(Bucket=services.bucket, Key=f"{folder}a", Body=b"bytes")

        def read(etag: str) -> Any:
            return services.s3.get_object(Bucket=services.bucket, Key=f"{folder}a", IfNoneMatch=etag)

        with pytest.raises(ClientError) as unchanged:
            read(put["ETag"])
        assert unchanged.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
        assert read('"another"')["ETag"] == put["ETag"]

    def test_later_object_replaces_the_earlier(self, services: Services, folder: str) -> None:
        for data in (b"1", b"2"):
            services.s3.put_object(Bucket=services.bucket, Key=f"{folder}a", Body=data)

        with services.s3.get_object(Bucket=services.bucket, Key=f"{folder}a")["Body"] as body:
            assert body.read() == b"2"

    def test_missing_object_can_be_deleted(self, services: Services, folder: str) -> None:
        services.s3.delete_object(Bucket=services.bucket, Key=f"{folder}a")

    def test_objects_are_joined(self, services: Services, folder: str) -> None:
        parts = {"ä+% 1": b"x" * 5 * 1024**2, "2": b"end"}
        for name, data in parts.items():
            services.s3.put_object(Bucket=services.bucket, Key=folder + name, Body=data)
        place = {"Bucket": services.bucket, "Key": f"{folder}joined"}
        upload = place | {"UploadId": services.s3.create_multipart_upload(**place)["UploadId"]}

        copied = []
        for number, name in enumerate(parts, 1):
            source = {"Bucket": services.bucket, "Key": folder + name}
            answer = services.s3.upload_part_copy(**upload, PartNumber=number, CopySource=source)
            copied.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        services.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": copied})

        with services.s3.get_object(**place)["Body"] as body:
            assert body.read() == b"".join(parts.values())

    def test_copy_of_an_object(self, services: Services, folder: str) -> None:
        services.s3.put_object(Bucket=services.bucket, Key=f"{folder}a", Body=b"bytes", ContentType="text/plain")
        place = {"Bucket": services.bucket, "Key": f"{folder}b"}

        def copy(name: str) -> Any:
            source = {"Bucket": services.bucket, "Key": folder + name}
            headers = {"MetadataDirective": "REPLACE", "ContentType": "image/jpeg", "CacheControl": "no-store"}
            return services.s3.copy_object(**place, CopySource=source, **headers)

        assert copy("a")["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"bytes", usedforsecurity=False).hexdigest()}"'

        found = services.s3.get_object(**place)
        with found["Body"] as body:
            assert body.read() == b"bytes"
        assert found["ContentType"] == "image/jpeg"
        assert code(lambda: copy("c")) == "NoSuchKey"

    def test_list_is_in_the_order_of_keys(self, services: Services, folder: str) -> None:
        for name in ("b", "a/2", "c", "a/1"):
            services.s3.put_object(Bucket=services.bucket, Key=folder + name, Body=b"x")
        services.s3.delete_object(Bucket=services.bucket, Key=f"{folder}c")

        assert listed(services, folder) == ["a/1", "a/2", "b"]

    def test_empty_list_has_no_contents(self, services: Services, folder: str) -> None:
        assert "Contents" not in services.s3.list_objects_v2(Bucket=services.bucket, Prefix=folder)

    @pytest.mark.parametrize(("size", "taken"), [(0, False), (1, True), (10, True), (11, False)])
    def test_form_accepts_what_its_policy_allows(self, services: Services, folder: str, size: int, taken: bool) -> None:
        form = services.s3.generate_presigned_post(
            services.bucket,
            f"{folder}a",
            Fields={"Content-Type": "image/jpeg"},
            Conditions=[{"Content-Type": "image/jpeg"}, ["content-length-range", 1, 10]],
            ExpiresIn=60,
        )

        assert services.post(form, b"x" * size) is taken
        assert listed(services, folder) == (["a"] if taken else [])

    @pytest.mark.parametrize("field", ["key", "Content-Type"])
    def test_form_with_another_field_is_refused(self, services: Services, folder: str, field: str) -> None:
        form = services.s3.generate_presigned_post(
            services.bucket,
            f"{folder}a",
            Fields={"Content-Type": "image/jpeg"},
            Conditions=[{"Content-Type": "image/jpeg"}, ["content-length-range", 1, 10]],
            ExpiresIn=60,
        )
        form["fields"][field] += "x"

        assert not services.post(form, b"x")
        assert listed(services, folder) == []


def listed(services: Services, folder: str) -> list[str]:
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=services.bucket, Prefix=folder)
    return [one["Key"].removeprefix(folder) for page in pages for one in page.get("Contents", [])]


class TestSQS:
    def test_batch_is_received_as_sent(self, services: Services) -> None:
        entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(3)]

        sent = services.sqs.send_message_batch(QueueUrl=services.queue_url, Entries=entries)

        assert [one["Id"] for one in sent["Successful"]] == ["0", "1", "2"]
        assert not sent.get("Failed")
        assert sorted(message["Body"] for message in received(services)) == ["body 0", "body 1", "body 2"]

    @pytest.mark.parametrize(
        ("ids", "error"),
        [([], "EmptyBatchRequest"), (["a", "a"], "BatchEntryIdsNotDistinct"), (list("0123456789x"), "TooMany")],
    )
    def test_invalid_batch_is_refused(self, services: Services, ids: list[str], error: str) -> None:
        entries = [{"Id": id_, "MessageBody": "body"} for id_ in ids]

        assert error in code(lambda: services.sqs.send_message_batch(QueueUrl=services.queue_url, Entries=entries))

    def test_received_message_is_invisible_until_its_timeout(self, services: Services) -> None:
        services.sqs.send_message(QueueUrl=services.queue_url, MessageBody="body")

        (message,) = received(services)
        assert received(services) == []
        services.sqs.change_message_visibility(
            QueueUrl=services.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
        (again,) = received(services)

        assert again["MessageId"] == message["MessageId"]
        assert [one["Attributes"]["ApproximateReceiveCount"] for one in (message, again)] == ["1", "2"]
        assert again["Attributes"]["SentTimestamp"] == message["Attributes"]["SentTimestamp"]

    def test_deleted_message_is_not_received(self, services: Services) -> None:
        services.sqs.send_message(QueueUrl=services.queue_url, MessageBody="body")
        (message,) = received(services)

        services.sqs.delete_message(QueueUrl=services.queue_url, ReceiptHandle=message["ReceiptHandle"])
        services.sqs.send_message(QueueUrl=services.queue_url, MessageBody="another")

        assert [message["Body"] for message in received(services)] == ["another"]

    def test_batches_delete_messages_and_change_visibility(self, services: Services) -> None:
        for body in "abc":
            services.sqs.send_message(QueueUrl=services.queue_url, MessageBody=body)
        handles = {message["Body"]: message["ReceiptHandle"] for message in received(services)}

        deleted = services.sqs.delete_message_batch(
            QueueUrl=services.queue_url, Entries=[{"Id": body, "ReceiptHandle": handles[body]} for body in "ab"]
        )
        changed = services.sqs.change_message_visibility_batch(
            QueueUrl=services.queue_url,
            Entries=[{"Id": "c", "ReceiptHandle": handles["c"], "VisibilityTimeout": 0}],
        )

        assert [one["Id"] for one in deleted["Successful"]] == ["a", "b"]
        assert [one["Id"] for one in changed["Successful"]] == ["c"]
        assert [message["Body"] for message in received(services)] == ["c"]

    def test_message_received_too_often_is_a_dead_letter(self, services: Services) -> None:
        services.sqs.send_message(QueueUrl=services.queue_url, MessageBody="poison")

        for _ in range(2):
            (message,) = received(services)
            services.sqs.change_message_visibility(
                QueueUrl=services.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )

        assert received(services) == []
        assert services.dead_bodies() == ["poison"]


class TestEventBus:
    ENTRY = {"Source": "test", "DetailType": "tested", "Detail": "{}"}  # noqa: RUF012 - never changed

    def test_each_event_has_a_result(self, services: Services) -> None:
        sent = services.events.put_events(Entries=[self.ENTRY] * 2)

        assert sent["FailedEntryCount"] == 0
        assert len({one["EventId"] for one in sent["Entries"]}) == 2

    def test_more_than_ten_events_are_refused(self, services: Services) -> None:
        assert code(lambda: services.events.put_events(Entries=[self.ENTRY] * 11)) == "ValidationException"


class TestParameterStore:
    def test_parameter_is_not_replaced(self, services: Services) -> None:
        name = f"/test/{uuid.uuid4()}"

        assert code(lambda: services.ssm.get_parameter(Name=name, WithDecryption=True)) == "ParameterNotFound"
        services.ssm.put_parameter(Name=name, Value="first", Type="SecureString")
        again = code(lambda: services.ssm.put_parameter(Name=name, Value="second", Type="SecureString"))

        assert again == "ParameterAlreadyExists"
        found = services.ssm.get_parameter(Name=name, WithDecryption=True)
        assert found["Parameter"]["Value"] == "first"


@pytest.fixture(autouse=True)
def empty_queue(services: Services) -> None:
    """Delete the messages of other tests."""
    while messages := received(services):
        for message in messages:
            services.sqs.delete_message(QueueUrl=services.queue_url, ReceiptHandle=message["ReceiptHandle"])


def received(services: Services) -> list[dict[str, Any]]:
    """Receive up to ten messages, which are in flight then."""
    answer = services.sqs.receive_message(
        QueueUrl=services.queue_url,
        MaxNumberOfMessages=10,
        AttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages
