"""Which files of a package stay in the bundle: those that the app can reach.

A module is reached when the app, or a module that is reached, imports it anywhere in its text, functions included, but
for what it imports for types alone. What is imported otherwise, by a name put together or from native code, no text
tells: a module that does so has to stand in a table here, with what it may import, or there is no bundle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

STARTS = ("app",)
"""Where everything begins: Lambda imports app.py."""

_APP = ("app.py", "chalicelib/", "vendor/", "chalice/")

_FROM_NATIVE_CODE = {
    "cryptography": ("cryptography", "_cffi_backend"),
    "msgspec": ("msgspec",),
}
"""Packages whose native modules import others by themselves: all of these then."""

_BY_NAME: dict[str, tuple[str, ...]] = {
    "PIL.Image": (),  # its plugins, where nobody says which: chalicelib.pictures.thumbnails does
    "aws_lambda_powertools.shared.lazy_import": (),  # the X-Ray SDK, for a Tracer, which needs it installed
    "botocore.plugin": (),  # what ~/.aws/config names
    "botocore.vendored.six": (),  # modules of the standard library
    "dateutil": (),  # its submodules, where one is used without being imported
    "six": (),
}
"""Modules that import by a name put together, and what of it Vitrine needs."""

_NOT_FOLLOWED = {
    # Turns pydantic models into dictionaries, and brings Powertools' whole resolver; Vitrine has no pydantic.
    ("aws_lambda_powertools.shared.functions", "aws_lambda_powertools.event_handler.openapi.compat"),
    # Pillow on a screen.
    ("PIL.Image", "PIL.ImageQt"),
    ("PIL.Image", "PIL.ImageShow"),
    ("PIL.ImageCms", "PIL.ImageWin"),
}
"""Imports inside functions that are never called here: who imports, and what."""

_STAND_INS = Path(__file__).with_name("instead")
"""Laid out as the package is."""
_NOT_FOR_RUNNING = (".pyi", ".pyx", ".pxd", ".c", ".h", "py.typed", ".pyc")


class UnknownImportError(Exception):
    """A module imports in a way that no text tells; the message names it."""


def chosen(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """What of ``entries`` (a package's files by path) the app can reach, with the stand-ins in place.

    Licences and notices stay with what they are of. botocore's data stays whole. Raises UnknownImportError.
    """
    whole = {**entries, **_stand_ins(entries)}
    modules = {name: path for path in whole if (name := _module(path))}
    reached = _reached(whole, modules)
    files = {modules[name] for name in reached}
    needed = files | _linked(whole, files)
    needed |= {path for path in whole.keys() - modules.values() if _stays(path, modules, reached)}
    needed |= {path for path in whole if _is_notice(path, whole, files)}
    return {path: whole[path] for path in sorted(needed)}


def _module(path: str) -> str | None:
    """What ``path`` is imported as, if it can be."""
    folder, _, name = path.rpartition("/")
    if not name.endswith((".py", ".so")) or ".libs" in folder or "-" in folder:
        return None
    stem = name.partition(".")[0]
    return ".".join([*folder.split("/"), stem] if folder else [stem]).removesuffix(".__init__")


def _reached(entries: Mapping[str, bytes], modules: Mapping[str, str]) -> set[str]:
    reached: set[str] = set()
    waiting = [*STARTS, *(name for name, path in modules.items() if path.startswith(_APP))]
    while waiting:
        name = waiting.pop()
        # To import a.b.c is to import a and a.b before.
        above, _, _ = name.rpartition(".")
        if above:
            waiting.append(above)
        if name in modules and name not in reached:
            reached.add(name)
            waiting += _imports(name, modules, entries)
    return reached


def _imports(name: str, modules: Mapping[str, str], entries: Mapping[str, bytes]) -> Iterator[str]:
    for package in _FROM_NATIVE_CODE.get(name, ()):
        yield from (other for other in modules if other == package or other.startswith(f"{package}."))
    path = modules[name]
    if not path.endswith(".py"):
        return
    tree = ast.parse(entries[path])
    by_name = _imports_by_name(tree)
    if by_name and name not in _BY_NAME and not path.startswith(_APP):
        raise UnknownImportError(f"{path}, line {by_name[0]}: imports by a name put together: see {__name__}._BY_NAME.")
    yield from _BY_NAME.get(name, ())
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    for imported in _imported(tree, package):
        if not any(imported == cut or imported.startswith(f"{cut}.") for by, cut in _NOT_FOLLOWED if by == name):
            yield imported


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """What a module in ``package`` imports; ``from a import b`` may be of the module ``a.b`` as well."""
    for node in running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module that are there when it runs: all but what only a type checker sees."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _imports_by_name(tree: ast.Module) -> list[int]:
    """The lines of calls that import a module whose name is not written there."""
    return [
        node.lineno
        for node in running(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("__import__", "import_module", "spec_from_file_location")
    ]


def _stays(path: str, modules: Mapping[str, str], reached: set[str]) -> bool:
    """Whether a file that is no module stays: the app's own, and the data of packages that are reached."""
    if path.startswith(_APP):
        return "__pycache__" not in path
    if path.endswith(_NOT_FOR_RUNNING) or ".libs/" in path:
        return False
    folder = path.rpartition("/")[0].replace("/", ".")
    while folder and folder not in modules:
        folder = folder.rpartition(".")[0]
    return folder in reached


def _linked(entries: Mapping[str, bytes], files: set[str]) -> set[str]:
    """The shared libraries, in a wheel's ``{package}.libs``, that native modules among ``files`` name, or theirs do."""
    libraries = {path.rpartition("/")[2].encode(): path for path in entries if ".libs/" in path}
    linked: set[str] = set()
    waiting = [path for path in files if path.endswith(".so")]
    while waiting:
        content = entries[waiting.pop()]
        more = {path for name, path in libraries.items() if name in content} - linked
        linked |= more
        waiting += more
    return linked


def _is_notice(path: str, entries: Mapping[str, bytes], files: set[str]) -> bool:
    """Whether ``path`` belongs to the metadata of a distribution of which something stays."""
    folder, _, rest = path.partition("/")
    if not folder.endswith(".dist-info"):
        return False
    if rest != "METADATA" and not rest.startswith("licenses/") and not rest.upper().startswith(("LICEN", "NOTICE")):
        return False
    record = entries.get(f"{folder}/RECORD", b"").decode()
    return any(line.partition(",")[0] in files for line in record.splitlines())


def _stand_ins(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Small modules of our own for large ones that are imported and never used."""
    found = {path.relative_to(_STAND_INS).as_posix(): path for path in _STAND_INS.rglob("*.py")}
    unknown = found.keys() - entries.keys()
    if unknown:
        raise UnknownImportError(f"{', '.join(sorted(unknown))} stand in for modules that are no longer there.")
    return {path: file.read_bytes() for path, file in found.items()}
