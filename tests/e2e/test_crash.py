"""Kill the emulator with SIGKILL: the next start works, saved data is kept, and objects and table are consistent.

CRASH_ROUNDS sets the number of rounds and keeps the save interval of `make run`; CRASH_SEED sets the seed. With -s,
pytest prints the number of lost writes of each round.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.system import EMULATOR_PYTHON, copy_project, free_port
from tests.e2e.terminals import Terminal, until
from tools.laptop import emulator as emulators
from tools.laptop import emulator_state
from tools.laptop.emulator import Emulator, client_factory
from tools.laptop.emulator_state import Folders

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "3"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
TABLE, BUCKET = "items", "pictures"
PARTS = ("original", "thumbnail")


class Writer:
    """Write items with pictures in the same order as the app, and record the acknowledged writes.

    The order is: put the new objects, put the item that names them, delete the previous objects.
    """

    def __init__(self, emulator: Emulator, seed: int) -> None:
        client = client_factory(emulator.url, emulator.root())
        self._folders = Folders(emulator.home)
        self._table, self._s3 = client("dynamodb"), client("s3")
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.begun: set[str] = set()
        """The items of all writes. Of the last one, a save may have the objects only."""
        self.acknowledged: list[tuple[int, str, int, float]] = []
        """The current save when the write started, the item, its version, and the time of the acknowledgement."""

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        versions = {item: version for item, (version, _) in read(self._table).items()}
        while not self._stopped.is_set():
            item = f"item-{self._random.randrange(20)}"
            version = versions.get(item, 0) + 1
            try:
                save = emulator_state.current(self._folders)
                self.begun.add(item)
                self._write(item, version)
            except (BotoCoreError, ClientError):
                return
            versions[item] = version
            self.acknowledged.append((save, item, version, time.time()))

    def _write(self, item: str, version: int) -> None:
        for part in PARTS:
            self._s3.put_object(Bucket=BUCKET, Key=f"{part}/{item}/{version}", Body=f"{item} {version}".encode())
        record = {"id": {"S": item}, "version": {"N": str(version)}, "status": {"S": "ready"}}
        self._table.put_item(TableName=TABLE, Item=record)
        for part in PARTS:
            self._s3.delete_object(Bucket=BUCKET, Key=f"{part}/{item}/{version - 1}")


def read(table: Any) -> dict[str, tuple[int, str]]:
    found = table.scan(TableName=TABLE, ConsistentRead=True)["Items"]
    return {item["id"]["S"]: (int(item["version"]["N"]), item["status"]["S"]) for item in found}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if "CRASH_ROUNDS" not in os.environ:
        monkeypatch.setattr(emulators, "SAVE_EVERY", 0.5)
    return tmp_path / "emulator"


def start(home: Path, port: int) -> Emulator:
    return Emulator.start(EMULATOR_PYTHON, home, port)


def await_saves(home: Path, number: int) -> None:
    last = emulator_state.current(Folders(home)) + number
    until(lambda: emulator_state.current(Folders(home)) >= last, 60)


def kill(emulator: Emulator) -> None:
    os.kill(emulator.pid, signal.SIGKILL)
    emulator.stop()  # release what the killed process left


def create(emulator: Emulator) -> None:
    client = client_factory(emulator.url, emulator.root())
    client("s3").create_bucket(Bucket=BUCKET)
    client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def check(emulator: Emulator, writer: Writer) -> None:
    """Check that the loaded save has every write acknowledged before it started, and that objects match items."""
    client = client_factory(emulator.url, emulator.root())
    items, s3 = read(client("dynamodb")), client("s3")
    save = emulator_state.current(Folders(emulator.home))
    for seen, item, version, _ in writer.acknowledged:
        # The save after the recorded one may have started before the write; the save after that started later.
        assert seen > save - 2 or items[item][0] >= version
    for item, (version, status) in items.items():
        assert status == "ready"
        for part in PARTS:
            body = s3.get_object(Bucket=BUCKET, Key=f"{part}/{item}/{version}")["Body"].read()
            assert body == f"{item} {version}".encode()
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert {one["Key"].split("/")[1] for one in listed} <= items.keys() | writer.begun


def test_kill_under_writes_loses_no_saved_data(home: Path) -> None:
    port, moment = free_port(), random.Random(SEED)
    emulator = start(home, port)
    create(emulator)
    for number in range(ROUNDS):
        with Writer(emulator, SEED + number) as writer:
            await_saves(home, 2)
            time.sleep(moment.uniform(0, emulators.SAVE_EVERY))
            killed_at = time.time()
            kill(emulator)
        emulator = start(home, port)
        try:
            assert "ended without saving" in (emulator.recovery_message or "")
            check(emulator, writer)
        except BaseException:
            kill(emulator)
            raise
        report(emulator, writer, killed_at)
    emulator.stop()
    emulator = start(home, port)
    assert emulator.recovery_message is None
    emulator.stop()


def report(emulator: Emulator, writer: Writer, killed_at: float) -> None:
    items = read(client_factory(emulator.url, emulator.root())("dynamodb"))
    lost = [at for _, item, version, at in writer.acknowledged if items.get(item, (0,))[0] < version]
    oldest = killed_at - min(lost, default=killed_at)
    print(f"{len(writer.acknowledged)} writes, {len(lost)} lost, the oldest {oldest:.1f} s before the end")


def test_kill_before_the_first_save_is_recovered(home: Path) -> None:
    port = free_port()
    emulator = start(home, port)
    create(emulator)
    kill(emulator)

    emulator = start(home, port)

    try:
        assert emulator.recovery_message == "The emulator ended before its first save: it starts empty."
        create(emulator)
    finally:
        emulator.stop()


def test_reads_cause_no_save(home: Path) -> None:
    emulator = start(home, free_port())
    try:
        create(emulator)
        await_saves(home, 1)
        time.sleep(4)  # the emulator saves once more, because functions may still be running
        saved = emulator_state.current(Folders(home))
        client = client_factory(emulator.url, emulator.root())
        for _ in range(4):
            read(client("dynamodb"))
            client("s3").list_buckets()
            client("logs").describe_log_groups()
            time.sleep(0.5)
        assert emulator_state.current(Folders(home)) == saved
    finally:
        emulator.stop()


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for one in opened:
        one.close()


def test_run_recovers_from_a_kill_at_first_start(tmp_path: Path, terminals: list[Terminal]) -> None:
    project = copy_project(tmp_path / "project")
    first = Terminal(project)
    terminals.append(first)
    first.await_text("Deploying the event functions", 120)  # the resources exist, but no save has been made

    os.kill(int((project / ".local" / "emulator" / "lock").read_text()), signal.SIGKILL)

    assert first.await_end() == 1
    second = Terminal(project)
    terminals.append(second)
    second.await_text("Ctrl-C stops it", 120)
    assert "The emulator ended " in second.text
