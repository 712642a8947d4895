"""Many files uploaded at once to the bucket of the local emulator."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chalicelib.config import LOCAL
from tests.builders import jpeg
from tests.e2e.system import EMULATOR_PYTHON, KEPT, ROOT, copy_project, free_port
from tests.e2e.waiting import eventually
from tools.laptop import code_stack, emulator, function_package
from tools.laptop.emulator import Emulator, EmulatorError, client_factory
from tools.stage import provision

FILES = 40
AT_ONCE = max(2, os.cpu_count() or 0)
MOST_WORKERS = {"OnUpload": AT_ONCE, "OnMessages": 5, "CleanUp": 1}
"""The concurrency limits in emulator_wrapper/lambda_functions.py and, for the queue, in infra/package.json."""


Start = Callable[[], Emulator]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return a function that starts an emulator with the app deployed, on a new port each time."""
    folder = tmp_path_factory.mktemp("load")
    project = copy_project(folder / "project")

    def start() -> Emulator:
        return Emulator.start(EMULATOR_PYTHON, folder / "emulator", free_port())

    running = start()
    try:
        client = client_factory(running.url, running.root())
        provision.provision(LOCAL, client, project, print)
        code_stack.deploy(function_package.package(project, folder / "build", KEPT, print), client)
    finally:
        running.stop()
    return start


@pytest.fixture
def started(start: Start) -> Iterator[Emulator]:
    running = start()
    yield running
    running.stop()


def test_many_uploads_are_rendered_by_few_workers(started: Emulator) -> None:
    s3 = client_factory(started.url, started.root())("s3")

    drop(s3, "at-once")

    eventually(lambda: len(thumbnails(s3, "at-once")) == FILES, 120)
    workers = Counter(folder.name.split("-")[4] for folder in tmp(started).glob("ministack-lambda-*"))
    assert all(number <= MOST_WORKERS[function] for function, number in workers.items()), workers
    assert len({path.name for path in (tmp(started) / "packages").iterdir()} - {"parts"}) == 1
    assert sum(size(folder) for folder in tmp(started).glob("ministack-lambda-*")) < sum(workers.values()) * 200_000


def test_uploads_before_a_stop_are_rendered_after_it(start: Start) -> None:
    running = start()
    try:
        drop(client_factory(running.url, running.root())("s3"), "before-stop")
    finally:
        running.stop()
    running = start()
    try:
        s3 = client_factory(running.url, running.root())("s3")
        eventually(lambda: len(thumbnails(s3, "before-stop")) == FILES, 120)
    finally:
        running.stop()
    assert list((running.home / "state" / "events").iterdir()) == []


def test_changes_before_and_after_a_stop_are_processed(start: Start) -> None:
    """A change that is no valid item becomes a dead letter, so each one shows that it was processed."""

    def change(running: Emulator, name: str) -> None:
        item = {"pk": {"S": "OWNER#local"}, "sk": {"S": f"ITEM#{name}"}}
        client_factory(running.url, running.root())("dynamodb").put_item(TableName="vitrine-local", Item=item)

    running = start()
    try:
        change(running, "before-stop")
    finally:
        running.stop()
    running = start()
    try:
        change(running, "after-stop")
        sqs = client_factory(running.url, running.root())("sqs")
        queue = sqs.get_queue_url(QueueName="vitrine-local-events-dead")["QueueUrl"]
        kept: list[str] = []

        def are_kept() -> bool:
            received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            kept.extend(message["Body"] for message in received)
            return all(any(f"ITEM#{name}" in body for body in kept) for name in ("before-stop", "after-stop"))

        assert eventually(are_kept, 60)
    finally:
        running.stop()


def test_changed_ministack_code_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "chalicelib").symlink_to(ROOT / "chalicelib")
    changed = tmp_path / "tools" / "laptop" / "emulator_wrapper" / "lambda_functions.py"
    changed.write_text(changed.read_text().replace('_dispatch_to_lambda": "', '_dispatch_to_lambda": "0'))
    monkeypatch.setattr(emulator, "_PROGRAM", changed.with_name("__main__.py"))

    with pytest.raises(
        EmulatorError, match=r"changed functions: .*eventbridge:_dispatch_to_lambda.* update the digests"
    ):
        Emulator.start(EMULATOR_PYTHON, tmp_path / "emulator", free_port())


def drop(s3: Any, folder: str) -> None:
    picture = jpeg()
    with ThreadPoolExecutor(10) as pool:
        for put in [
            pool.submit(s3.put_object, Bucket=bucket(s3), Key=f"uploads/{folder}/{number}.jpg", Body=picture)
            for number in range(FILES)
        ]:
            put.result()


def thumbnails(s3: Any, folder: str) -> list[str]:
    listed = s3.list_objects_v2(Bucket=bucket(s3), Prefix=f"thumbnails/{folder}/").get("Contents", [])
    return [one["Key"] for one in listed]


def bucket(s3: Any) -> str:
    names: list[str] = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    return next(name for name in names if name != code_stack.ARTIFACTS)


def tmp(running: Emulator) -> Path:
    return running.home / "tmp"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
