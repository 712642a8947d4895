"""From the package that Chalice makes to the bundle that is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tools.bundle import archive, authorities, aws_data, calls, contents, patterns


class Bundle(NamedTuple):
    """What is deployed, by path, and the AWS operations that its code can call."""

    entries: dict[str, bytes]
    calls: set[calls.Call]


def bundled(stock: Mapping[str, bytes]) -> Bundle:
    """The bundle of a whole package. Raises UnclearCallError, UnknownImportError, RecordError or CompileError."""
    called = calls.found(_own_sources(stock))
    entries = {path: content for path, content in contents.chosen(stock).items() if not path.startswith(aws_data.ROOT)}
    entries |= aws_data.cut(stock, called)
    entries[aws_data.HANDLERS] = aws_data.handlers(entries[aws_data.HANDLERS], called)
    entries |= authorities.by_name(entries)
    entries |= patterns.seeded(entries)
    modules = {path: content for path, content in entries.items() if path.endswith(".py")}
    # Chalice can put a newer app.py into a package that it keeps, beside what is in there already: then its old
    # bytecode must not be taken. What lies in chalicelib/ and chalice/ it replaces whole.
    return Bundle(entries | archive.bytecode(modules, checked=["app.py"]), called)


def _own_sources(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {
        path: content.decode()
        for path, content in entries.items()
        if path.endswith(".py") and (path == "app.py" or path.startswith("chalicelib/"))
    }


def report(before: Mapping[str, bytes], bundle: Bundle) -> list[str]:
    """What went and what is left, as lines for a person: sizes unpacked, by package, the largest first."""
    after = bundle.entries
    packages = sorted({_package(path) for path in before} | {_package(path) for path in after})
    rows = [(name, _size(before, name), _size(after, name)) for name in packages]
    rows.sort(key=lambda row: (-row[1], row[0]))
    shown = [
        f"  {name:<34} {_mib(was):>9} → {_mib(now) if now else 'gone':>9}" for name, was, now in rows if was >= 2**16
    ]
    total = (sum(map(len, before.values())), sum(map(len, after.values())))
    operations = ", ".join(sorted({f"{call.service}:{call.method}" for call in bundle.calls}))
    return [
        *shown,
        f"  {'in all, unpacked':<34} {_mib(total[0]):>9} → {_mib(total[1]):>9}",
        f"  operations: {operations}",
    ]


def _package(path: str) -> str:
    top, below, _ = path.partition("/")
    if not below:
        return "app.py" if path == "app.py" else path.partition(".")[0]
    if top == "__pycache__":
        return path.removeprefix("__pycache__/").partition(".")[0].replace("app", "app.py")
    return "metadata and licences" if top.endswith((".dist-info", ".data")) else top


def _size(entries: Mapping[str, bytes], package: str) -> int:
    return sum(len(content) for path, content in entries.items() if _package(path) == package)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
