"""Pictures that crash or hang the function that renders them, with real processes and a real queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicelib.config import LOCAL
from tests.builders import jpeg
from tests.e2e.system import KEPT, copy_project, emulator_without_saves
from tests.e2e.waiting import eventually
from tools.laptop import code_stack, function_package
from tools.laptop.emulator import client_factory
from tools.stage import provision

VISIBILITY_TIMEOUT = 6  # seconds, instead of 360
CRASH, HANG = b"crash", b"hang"
MEASURE = "    memory = sandbox.memory_needed(original.data, sizes)\n"
CRASHING = f"""
    if original.data == {CRASH!r}:
        __import__("os")._exit(1)
    if original.data == {HANG!r}:
        __import__("time").sleep(20)
{MEASURE}"""


class Laptop(NamedTuple):
    """The packaged app, which crashes or hangs on some pictures, and has shorter timeouts."""

    client: Callable[[str], Any]
    bucket: str
    queue_url: str
    dead_letter_queue_url: str

    def put(self, key: str, data: bytes) -> None:
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=data)

    def thumbnails(self, folder: str) -> set[str]:
        found = self.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=f"thumbnails/{folder}/")
        return {one["Key"] for one in found.get("Contents", [])}

    def waiting(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def dead_letters(self) -> set[str]:
        """Return the keys of the pictures whose messages are dead letters."""
        found = self.client("sqs").receive_message(
            QueueUrl=self.dead_letter_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return {json.loads(message["Body"])["key"] for message in found.get("Messages", [])}

    def work(self, enabled: bool) -> None:
        """Enable or disable the consumer."""
        mappings = self.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        (mapping,) = (one for one in mappings if one["EventSourceArn"].endswith("-jobs"))
        self.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    folder = tmp_path_factory.mktemp("poison")
    project = copy_project(folder / "project")
    replace(project / "chalicelib" / "catalogue" / "thumbnail_jobs.py", MEASURE, CRASHING)
    consumer = project / "chalicelib" / "catalogue" / "job_queue_consumer.py"
    replace(consumer, "MIN_REMAINING_MS = 20_000", "MIN_REMAINING_MS = 1_000")
    replace(consumer, "VISIBILITY_TIMEOUT = 360", "VISIBILITY_TIMEOUT = 12")
    replace(consumer, "SUSPECT_SPACING = 10", "SUSPECT_SPACING = 1")
    replace(project / ".chalice" / "config.json", '"lambda_timeout": 60', '"lambda_timeout": 5')
    with emulator_without_saves(folder / "emulator") as emulator:
        client = client_factory(emulator.url, emulator.root())
        resources = provision.provision(LOCAL, client, project, print)
        code_stack.deploy(function_package.package(project, folder / "build", KEPT, print), client)
        shorter = {"VisibilityTimeout": str(VISIBILITY_TIMEOUT)}  # not set earlier: Lambda refuses it for a new mapping
        client("sqs").set_queue_attributes(QueueUrl=resources["QueueUrl"], Attributes=shorter)
        yield Laptop(client, resources["BucketName"], resources["QueueUrl"], resources["DeadLetterQueueUrl"])


def replace(path: Path, text: str, other: str) -> None:
    before = path.read_text(encoding="utf-8")
    assert text in before, f"{path.name} has no {text!r}"
    path.write_text(before.replace(text, other, 1), encoding="utf-8")


def test_pictures_beside_a_poison_picture_are_rendered(laptop: Laptop) -> None:
    fatal = {4: CRASH, 7: HANG}
    laptop.work(enabled=False)
    for number in range(10):
        laptop.put(f"uploads/poison/{number}.jpg", fatal.get(number, jpeg()))
    eventually(lambda: laptop.waiting() == 10)
    laptop.work(enabled=True)

    expected = {f"thumbnails/poison/{number}.jpg.jpg" for number in range(10) if number not in fatal}
    eventually(lambda: laptop.thumbnails("poison") == expected, 150)
    dead = {f"uploads/poison/{number}.jpg" for number in fatal}
    eventually(lambda: laptop.waiting() <= len(fatal), 120)
    assert laptop.dead_letters() <= dead
