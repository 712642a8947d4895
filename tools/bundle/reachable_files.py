"""Select the files of a package that the app can reach.

A module is reachable if the app, or another reachable module, imports it anywhere in its text, also inside functions,
but not only for type checkers. Imports by a computed name or from native code cannot be read from the text: a module
that does either must be listed here with what it may import, otherwise building the bundle fails.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tools.bundle.errors import UnknownImportError

STARTS = ("app",)
"""Entry points: Lambda imports app.py."""

_APP = ("app.py", "chalicelib/", "vendor/", "chalice/")

_FROM_NATIVE_CODE = {
    "cryptography": ("cryptography", "_cffi_backend"),
    "msgspec": ("msgspec",),
}
"""Packages whose native modules import Python modules, and the packages that are kept whole for them."""

_BY_NAME: dict[str, tuple[str, ...]] = {
    "PIL.Image": (),  # all plugins, if no formats are given: chalicelib.pictures.decoding gives them
    "aws_lambda_powertools.shared.lazy_import": (),  # the X-Ray SDK, for a Tracer
    "botocore.plugin": (),  # plugins that ~/.aws/config names
    "botocore.vendored.six": (),  # modules of the standard library
    "dateutil": (),  # submodules that are used without being imported
    "six": (),
}
"""Modules that import by a computed name, and which of those imports Vitrine needs."""

_NOT_FOLLOWED = {
    # Converts pydantic models, and loads Powertools' whole resolver. Vitrine does not use pydantic.
    ("aws_lambda_powertools.shared.functions", "aws_lambda_powertools.event_handler.openapi.compat"),
    # Pillow on a screen
    ("PIL.Image", "PIL.ImageQt"),
    ("PIL.Image", "PIL.ImageShow"),
    ("PIL.ImageCms", "PIL.ImageWin"),
}
"""Imports inside functions that Vitrine never calls: the importing module, and what it imports."""

_NOT_FOR_RUNNING = (".pyi", ".pyx", ".pxd", ".c", ".h", "py.typed", ".pyc")


def reachable(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of ``entries`` (a package's files by path) that the app can reach.

    Data files and licences are kept with their package. Raise UnknownImportError.
    """
    modules = {name: path for path in entries if (name := _module(path))}
    reached = _reached(entries, modules)
    files = {modules[name] for name in reached}
    needed = files | _linked(entries, files)
    needed |= {path for path in entries.keys() - modules.values() if _is_needed_data(path, modules, reached)}
    needed |= {path for path in entries if _is_notice(path, entries, files)}
    return {path: entries[path] for path in sorted(needed)}


def _module(path: str) -> str | None:
    """Return the name that ``path`` is imported by, or None if it is no module."""
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
        # Importing a.b.c imports a and a.b first.
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
        raise UnknownImportError(f"{path}, line {by_name[0]}: imports by a computed name: see {__name__}._BY_NAME.")
    yield from _BY_NAME.get(name, ())
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    for imported in _imported(tree, package):
        if not any(imported == cut or imported.startswith(f"{cut}.") for by, cut in _NOT_FOLLOWED if by == name):
            yield imported


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the names that a module in ``package`` imports. ``from a import b`` may import the module ``a.b`` too."""
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module, without those that only a type checker sees."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _imports_by_name(tree: ast.Module) -> list[int]:
    """Return the lines of calls that import a module by a computed name."""
    return [
        node.lineno
        for node in _executed(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("__import__", "import_module", "spec_from_file_location")
    ]


def _is_needed_data(path: str, modules: Mapping[str, str], reached: set[str]) -> bool:
    """Return whether a file that is no module is the app's own, or belongs to a reachable package."""
    if path.startswith(_APP):
        return "__pycache__" not in path
    if path.endswith(_NOT_FOR_RUNNING) or ".libs/" in path:
        return False
    folder = path.rpartition("/")[0].replace("/", ".")
    while folder and folder not in modules:
        folder = folder.rpartition(".")[0]
    return folder in reached


def _linked(entries: Mapping[str, bytes], files: set[str]) -> set[str]:
    """Return the libraries in ``{package}.libs`` that native modules of ``files`` link to, directly or not."""
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
    """Return whether ``path`` is a licence, notice or METADATA of a distribution with a file in ``files``."""
    folder, _, rest = path.partition("/")
    if not folder.endswith(".dist-info"):
        return False
    if rest != "METADATA" and not rest.startswith("licenses/") and not rest.upper().startswith(("LICEN", "NOTICE")):
        return False
    record = entries.get(f"{folder}/RECORD", b"").decode()
    return any(line.partition(",")[0] in files for line in record.splitlines())
