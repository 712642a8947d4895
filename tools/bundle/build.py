"""Turn the package that Chalice makes into the bundle that is deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tools.bundle import (
    archive,
    aws_operations,
    botocore_data,
    certificate_folder,
    precompiled_regexes,
    reachable_files,
    third_party_edits,
)
from tools.bundle.aws_operations import Call

Entries = Mapping[str, bytes]
"""The files of a package by path."""


class Bundle(NamedTuple):
    """The files that are deployed, by path, and the AWS operations that the code can call."""

    entries: dict[str, bytes]
    calls: set[Call]


def _cut_models(entries: Entries) -> dict[str, bytes]:
    others = {path: content for path, content in entries.items() if not path.startswith(botocore_data.ROOT)}
    return others | botocore_data.cut(entries, called_operations(entries))


STEPS: dict[str, Callable[[Entries], dict[str, bytes]]] = {
    "AWS models cut": _cut_models,
    "unreached files removed": reachable_files.reachable,
    "imports moved behind first use": third_party_edits.with_late_imports,
    "certificate authorities in a folder": certificate_folder.with_folder,
    "regular expressions precompiled": precompiled_regexes.with_regexes,
}
"""What is done to a package before it is compiled, by name and in order."""


def build(stock: Entries, steps: Sequence[str] = tuple(STEPS)) -> Bundle:
    """Return the bundle of a whole package, after ``steps``. Raise BundleError."""
    entries = dict(stock)
    for step in steps:
        entries = STEPS[step](entries)
    modules = {path: content for path, content in entries.items() if path.endswith(".py")}
    # Chalice can put a newer app.py into a package that it keeps, beside the old bytecode, which must not be used then.
    # It replaces chalicelib/ and chalice/ as a whole.
    return Bundle(entries | archive.bytecode(modules, checked=["app.py"]), called_operations(stock))


def called_operations(entries: Entries) -> set[Call]:
    """Return the AWS operations that the app's own code calls. Raise UnclearCallError."""
    return aws_operations.find(
        {
            path: content.decode()
            for path, content in entries.items()
            if path.endswith(".py") and (path == "app.py" or path.startswith("chalicelib/"))
        }
    )


def report(before: Entries, bundle: Bundle) -> list[str]:
    """Return lines that compare the unpacked sizes of each top-level package before and after, the largest first."""
    after = bundle.entries
    packages = sorted({_package(path) for path in before} | {_package(path) for path in after})
    rows = [(name, _size(before, name), _size(after, name)) for name in packages]
    rows.sort(key=lambda row: (-row[1], row[0]))
    lines = [
        f"  {name:<34} {_mib(old):>9} → {_mib(new) if new else 'removed':>9}" for name, old, new in rows if old >= 2**16
    ]
    total = (sum(map(len, before.values())), sum(map(len, after.values())))
    operations = ", ".join(sorted({f"{call.service}:{call.method}" for call in bundle.calls}))
    return [
        *lines,
        f"  {'total, unpacked':<34} {_mib(total[0]):>9} → {_mib(total[1]):>9}",
        f"  operations: {operations}",
    ]


def _package(path: str) -> str:
    top, below, _ = path.partition("/")
    if not below:
        return "app.py" if path == "app.py" else path.partition(".")[0]
    if top == "__pycache__":
        return path.removeprefix("__pycache__/").partition(".")[0].replace("app", "app.py")
    return "metadata and licences" if top.endswith((".dist-info", ".data")) else top


def _size(entries: Entries, package: str) -> int:
    return sum(len(content) for path, content in entries.items() if _package(path) == package)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
