"""`make bench-laptop`: many photographs dropped at once into the bucket of `make run`, and what that does to a laptop.

Runs a copy of the project with data of its own, so that yours are left alone. Prints a table; nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3

from bench import photographs
from tests.e2e.system import copy_project, free_port
from tools.interruption import Interruption

_PICTURE = next(one for one in photographs.PICTURES if one.name == "12 MP JPEG, as a telephone's")
_AT_ONCE = 10
"""Uploads at once, as many as `aws s3 cp --recursive` makes."""
_EVERY = 0.1  # seconds between two requests, and between two looks at the machine
_PATIENCE = 900.0  # seconds without a new thumbnail
_TICKS = os.sysconf("SC_CLK_TCK")


class Running(NamedTuple):
    """`make run` in a copy of the project."""

    process: subprocess.Popen[bytes]
    url: str
    emulator: Path
    s3: Any
    bucket: str


class Load:
    """What the API and the machine showed while something was going on."""

    def __init__(self, running: Running) -> None:
        self.seconds: list[float] = []
        self.refused = 0
        self.disk = 0
        self.workers = 0
        self._cpu: dict[int, float] = {}
        self._running = running
        self._over = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._ask, self._look)]

    @property
    def cpu(self) -> float:
        """Seconds that the emulator and its workers computed."""
        return sum(self._cpu.values())

    @contextmanager
    def watched(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _ask(self) -> None:
        while not self._over.wait(_EVERY):
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(f"{self._running.url}/items?limit=25", timeout=60) as answer:
                    answer.read()
                self.seconds.append(time.perf_counter() - began)
            except OSError:
                self.refused += 1

    def _look(self) -> None:
        before: dict[int, float] | None = None
        while not self._over.wait(_EVERY * 5):
            now = _computed(self._running.emulator / "tmp")
            before = now if before is None else before
            for pid, seconds in now.items():
                self._cpu[pid] = seconds - before.get(pid, 0.0)
            self.workers = max(self.workers, len(now) - 1)
            self.disk = max(self.disk, _bytes_beside_objects(self._running.emulator))


def measure(number: int, picture: bytes, running: Running, say: Callable[[str], None]) -> None:
    """Drop ``number`` copies of ``picture`` at once, and say how long their thumbnails took."""
    folder = f"dropped-{number}-{time.time_ns()}"
    with Load(running).watched() as load:
        began = time.monotonic()
        _drop(running, folder, number, picture)
        dropped = time.monotonic() - began
        made = _await_thumbnails(running, folder, number)
        took = time.monotonic() - began
    say(
        f"{number} photographs: {made} thumbnails after {took:.1f} s (uploaded after {dropped:.1f} s); "
        f"{load.cpu:.1f} s of CPU; at most {load.workers} processes beside the emulator's own, "
        f"and {load.disk / 1e6:.0f} MB beside the objects"
    )
    if load.seconds:
        said = statistics.quantiles(load.seconds, n=20)
        say(
            f"    GET /items: {len(load.seconds)} answers, {load.refused} failed; median {said[9] * 1000:.0f} ms, "
            f"p95 {said[18] * 1000:.0f} ms, longest {max(load.seconds) * 1000:.0f} ms"
        )


@contextmanager
def started(say: Callable[[str], None]) -> Iterator[Running]:
    """`make run`, with no data, in a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="laptop-", dir=photographs.FOLDER))
    project = copy_project(folder / "project")
    port, emulator_port = free_port(), free_port()
    command = [sys.executable, "-m", "tools.laptop.run", "--port", str(port), "--emulator-port", str(emulator_port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log, start_new_session=True)
    try:
        while b"Vitrine is running" not in (folder / "log").read_bytes():
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text(errors="replace"))
            time.sleep(0.1)
        os.environ |= {"AWS_CONFIG_FILE": str(project / ".local" / "aws-config"), "AWS_PROFILE": "vitrine-local"}
        session = boto3.Session()
        outputs = session.client("cloudformation").describe_stacks(StackName="vitrine-local-resources")["Stacks"][0]
        bucket = next(one["OutputValue"] for one in outputs["Outputs"] if one["OutputKey"] == "BucketName")
        url = f"http://127.0.0.1:{port}"
        yield Running(process, url, project / ".local" / "emulator", session.client("s3"), bucket)
    finally:
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()
        say(f"Stopped in {time.monotonic() - began:.1f} s")
        shutil.copyfile(folder / "log", photographs.FOLDER / "laptop.log")
        shutil.copyfile(project / ".local" / "emulator" / "emulator.log", photographs.FOLDER / "emulator.log")
        shutil.rmtree(folder)


def _drop(running: Running, folder: str, number: int, picture: bytes) -> None:
    def put(position: int) -> None:
        running.s3.put_object(Bucket=running.bucket, Key=f"uploads/{folder}/{position:04d}.jpg", Body=picture)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(put, range(number)))


def _await_thumbnails(running: Running, folder: str, number: int) -> int:
    pages = running.s3.get_paginator("list_objects_v2")
    made, last = 0, time.monotonic()
    while made < number and time.monotonic() < last + _PATIENCE:
        time.sleep(0.25 if number < 500 else 1)
        found = sum(
            page.get("KeyCount", 0) for page in pages.paginate(Bucket=running.bucket, Prefix=f"thumbnails/{folder}/")
        )
        if found > made:
            made, last = found, time.monotonic()
    return made


def _computed(home: Path) -> dict[int, float]:
    """The processor seconds of the processes that have ``home`` as their HOME: the emulator and its workers."""
    found = {}
    mark = f"HOME={home}\0".encode()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
                found[int(folder.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
        except OSError:
            continue
    return found


def _bytes_beside_objects(home: Path) -> int:
    """What the emulator takes on disk, without the objects in its buckets."""
    total = 0
    for where, folders, names in os.walk(home):
        if where == str(home):
            folders.remove("s3")
        for name in names:
            try:
                total += os.lstat(f"{where}/{name}").st_blocks * 512
            except OSError:
                continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-laptop", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, default=[100, 1000], help="how many at once; default: 100 1000")
    parser.add_argument("--interrupt", type=int, metavar="NUMBER", help="drop so many at the end, and stop at once")
    asked = parser.parse_args()

    def say(text: str) -> None:
        print(text, flush=True)

    photographs.make([_PICTURE])
    picture = _PICTURE.path.read_bytes()
    say(f"{_PICTURE.name}: {len(picture) / 1e6:.1f} MB")
    with Interruption(), started(say) as running:
        for number in asked.numbers:
            measure(number, picture, running, say)
        if asked.interrupt:
            _drop(running, "interrupted", asked.interrupt, picture)


if __name__ == "__main__":
    main()
