"""The pages name only what exists, and their tables list what the code has."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import chalice.cli
import click
import pytest

import app
from chalicelib import config, errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue import messages, webhooks
from tests.blocks import blocks
from tests.integration.routes import PUBLIC
from tests.tables import table_rows
from tests.unit.test_infra import METHOD_SETTINGS, method
from tests.unit.test_layers import FILES, own_imports, package

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def without_blocks(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def links(page: Path) -> list[str]:
    prose = re.sub(r"`[^`\n]*`", "", without_blocks(page.read_text(encoding="utf-8")))
    found = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [link for link in found if not link.startswith(("https://", "http://", "mailto:"))]


def inline_code(page: Path) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", without_blocks(page.read_text(encoding="utf-8"))))


def code(page: Path) -> str:
    return "\n".join(re.findall(r"```.*?```|`[^`\n]*`", page.read_text(encoding="utf-8"), flags=re.DOTALL))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_cells(page: str, section: str = "") -> set[str]:
    return {name for row in table_rows(page, section) for name in re.findall(r"`([^`]+)`", row[0])}


def all_below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from all_below(below)


# ------------------------------------------------------------------------------------------------------ links and names


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_rows_of_a_table_have_the_same_number_of_cells(page: Path) -> None:
    for rows in re.findall(r"(?:^\|.*\n)+", without_blocks(page.read_text(encoding="utf-8")), flags=re.MULTILINE):
        counts = {row: len(re.findall(r"(?<!\\)\|", row)) for row in rows.splitlines()}
        assert len(set(counts.values())) == 1, counts


SOURCES = (".chalice/", ".ci/", ".github/", "bench/", "chalicelib/", "docs/", "infra/", "tests/", "tools/")
"""The folders with files that the pages name."""

MADE = ("out/", ".local/", ".chalice/deploy")
"""Where files are that make and Chalice create."""


@functools.cache
def files() -> tuple[Path, ...]:
    inside = (path for folder in SOURCES for path in (PROJECT / folder).rglob("*"))
    return tuple(path.relative_to(PROJECT) for path in (*PROJECT.iterdir(), *inside))


def names_a_file(text: str) -> bool:
    if not re.fullmatch(r"[\w.<>*/-]+", text) or text.startswith(("/", *MADE)):
        return False
    return text.startswith(SOURCES) or re.search(r"\w\.(py|m?js|cjs|json|css|html|md|toml|yml|txt)$", text) is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    for text in filter(names_a_file, inline_code(page)):
        pattern = re.sub("<[^>]+>", "*", text.rstrip("/"))
        assert any(path.match(pattern) for path in files()), text


NOT_CODE = {str(message.__struct_config__.tag) for message in get_args(messages.Message)} | {
    "image.error",
    "image.focus",
    "image.placeholder",
    "image.status",
    "image.warnings",
    "photo.jpg",
    "webhook.test",
    *get_args(webhooks.EventType),
}
"""Words with a dot that are no names in the code: types of messages and events, fields of pictures, a reader's file."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_functions_exist(page: Path) -> None:
    for text in inline_code(page) - NOT_CODE:
        name = text.removesuffix("()")
        if re.fullmatch(r"[a-z_]\w*(\.[A-Za-z_]\w*)+", name) and not names_a_file(text) and not name.endswith(".com"):
            assert exists(name), text


def exists(name: str) -> bool:
    """Return whether the start of ``name`` is a module, here or installed, and the rest of it is in that module."""
    words = name.split(".")
    for length in range(1, len(words) + 1):
        for module in modules(words[:length]):
            with contextlib.suppress(AttributeError):
                functools.reduce(getattr, words[length:], module)
                return True
    return False


def modules(words: list[str]) -> list[ModuleType]:
    """Return the modules with a path that ends in these words: ``items`` matches chalicelib.catalogue.items."""
    path = "/".join(words)
    ours = [file for file in files() if file.match(f"{path}.py") or file.match(f"{path}/__init__.py")]
    names = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in ours]
    if not names and importlib.util.find_spec(words[0]):
        names = [".".join(words)]
    return [importlib.import_module(one) for one in names]


# ------------------------------------------------------------------------------------------------------------- commands


TYPED = {
    name
    for path in PROJECT.glob("tests/**/test_*.py")
    for name in re.findall(r'(?:\bblock\([^"]*(?:"[^"]*", )?|\brunbook\()"([\w -]+)"', path.read_text(encoding="utf-8"))
}
"""The names of the blocks that tests run."""


def is_shell(text: str) -> bool:
    return re.search(r"^(aws|curl|git|make|pip|python3?|\.venv/\S+|\.ci/\S+|\w+=\S+) ", text, re.MULTILINE) is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_run_by_a_test(page: Path) -> None:
    """Except commands of make alone: CI runs those, or they have their own tests."""
    for one in blocks(name_of(page)):
        if one.language in ("", "bash") and one.name not in TYPED and is_shell(one.text):
            assert [line for line in one.text.splitlines() if not line.startswith(("make ", "git clone "))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_has_the_named_targets_and_variables(page: Path) -> None:
    makefile = read("Makefile")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, flags=re.MULTILINE))
    for target, words in re.findall(r"(?m)(?:^|`)make ([a-z][a-z0-9-]*)([^`#\n]*)", code(page)):
        assert target in targets, target
        for variable in re.findall(r"\b([A-Z_]+)=", words):
            assert re.search(rf"\b{variable}\b", makefile), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tools_accept_the_named_arguments(page: Path) -> None:
    for module, words in re.findall(r"\bpython -m (tools[.\w]+) ([^`\n]+)", code(page)):
        path = PROJECT.joinpath(*module.split("."))
        command = importlib.import_module(f"{module}.__main__" if path.is_dir() else module)
        parse = getattr(command, "parse", None) or command.parser().parse_args
        parse(shlex.split(words.partition(" > ")[0]))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_chalice_accepts_the_named_arguments(page: Path) -> None:
    for name, words in re.findall(r"(?m)(?:`|bin/|^)chalice ([a-z-]+)([^`\n]*)", code(page)):
        command = chalice.cli.cli.get_command(click.Context(chalice.cli.cli), name)
        assert command is not None, name
        command.make_parser(click.Context(command)).parse_args(shlex.split(words))


# --------------------------------------------------------------------------------------------------------------- tables


def test_architecture_lists_every_file_of_the_package() -> None:
    folder = PROJECT / "chalicelib"
    listed = {f"{prefix}{name}" for prefix, name in listed_files()}
    paths = [path for path in folder.rglob("*") if path.suffix in {".py", ".js", ".css", ".html", ".md", ".json"}]
    names = {path.relative_to(folder).as_posix() for path in paths if path.stat().st_size > 100}  # no empty __init__.py
    assert listed == names | {"app.py"}


def listed_files() -> Iterator[tuple[str, str]]:
    """Yield the folder and the name of each file in the tables of files. A row with a folder alone begins it."""
    folder = ""
    for section in ("The files", "The console"):
        for row in table_rows("docs/architecture.md", section):
            for name in re.findall(r"`([^`]+)`", row[0]):
                if name.endswith("/"):
                    folder = "" if name == "chalicelib/" else name
                else:
                    yield ("" if name == "app.py" else folder), name


def test_architecture_lists_the_routes() -> None:
    routes = {f"{method} {path}" for path, methods in app.app.routes.items() for method in methods if method != "HEAD"}
    assert first_cells("docs/architecture.md", "Path 1: HTTP") == routes


def test_deploying_names_the_routes_that_need_no_token() -> None:
    paragraph = re.search(r"Every route requires a token.*?except(.*?)\n\n", read("docs/deploying.md"), re.DOTALL)

    assert paragraph
    public = {re.sub(r"(?<=.)/.*", "/…", path) if path.count("/") > 1 else path for path in PUBLIC}
    assert set(re.findall("`(/.*?)`", paragraph[1])) == public


def test_architecture_lists_the_messages_with_their_fields() -> None:
    listed = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1]))
        for row in table_rows("docs/architecture.md", "Path 3: the queue")
    }
    accepted = {
        str(message.__struct_config__.tag): set(message.__struct_encode_fields__)
        for message in get_args(messages.Message)
    }
    assert listed == accepted


def test_architecture_lists_the_records_and_the_folders_of_the_bucket() -> None:
    rows = table_rows("docs/architecture.md", "Keys in the table and the bucket")
    assert {kind for row in rows for kind in re.findall(r"^`([A-Z]+)#", row[0])} == set(get_args(table.Kind))
    folders = {f"{folder}/" for row in rows for folder in re.findall(r"^`([a-z]+)/", row[0])}
    assert folders == {bucket.UPLOADS, bucket.THUMBNAILS, bucket.PUBLIC, bucket.IMPORTS, bucket.EXPORTS}


def test_errors_are_listed_with_their_status() -> None:
    listed = {(row[0], row[1]) for row in table_rows("docs/errors.md")}
    assert listed == {(f"`{error.code}`", str(error.status)) for error in all_below(errors.ApiError)}


def test_errors_of_pictures_are_listed() -> None:
    assert first_cells("docs/errors.md", "Picture errors") == {error.code for error in all_below(errors.ImageError)}


def test_errors_of_api_gateway_are_listed() -> None:
    responses = json.loads(read("infra/package.json"))["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    templates = [response["ResponseTemplates"]["application/json"] for response in responses.values()]
    codes = {found[1] for template in templates if (found := re.match(r'{"error": "([A-Z_]+)"', template))}
    assert first_cells("docs/errors.md", "Errors from API Gateway") == codes


class Asked(dict[str, str]):
    """An empty environment that records the names that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def test_settings_are_listed() -> None:
    environ = Asked()
    config.load(environ)
    assert first_cells("docs/settings.md") == environ.names


def test_documented_defaults_change_nothing() -> None:
    defaults = {row[0].strip("`"): row[1].strip("`") for row in table_rows("docs/settings.md") if row[1] != "none"}
    assert config.load(defaults) == config.load({})


LOGGED_BY_LAMBDA = {"Task timed out", "Runtime exited"}


ARTICLE = "docs/article.md"


def test_each_row_of_the_article_has_a_file_and_a_test() -> None:
    tables = re.findall(r"(?m)^\| In the guide \| Here \| Files \| Tests \|\n.+\n((?:\|.+\n)+)", read(ARTICLE))
    rows = [re.split(r" *\| *", line)[1:-1] for table in tables for line in table.splitlines()]

    assert len(rows) > 70
    for _, here, paths, tests in rows:
        assert here.startswith("Not here") or ("`" in paths and "`tests/" in tests), here


def test_tests_that_the_article_names_exist() -> None:
    named = [text.split("::") for text in inline_code(PROJECT / ARTICLE) if text.startswith("tests/")]

    for path, *functions in named:
        source = read(path)
        assert all(f"def {function}(" in source for function in functions), (path, functions)


def test_article_has_the_costs_of_the_benchmarks() -> None:
    rest, http = (row for row in table_rows("docs/benchmarks.md", "Cost") if row[0] == "reading an item")
    assert f"A million reads ${rest[-1]} with a REST API and ${http[-1]} with an HTTP API" in read(ARTICLE)
    assert f"of which Lambda is ${rest[1]}" in read(ARTICLE)


def test_log_lines_that_operators_search_for_are_logged() -> None:
    in_page = {
        text for text in inline_code(PROJECT / "docs/operating.md") if re.fullmatch(r"[A-Z][a-z]+ [\w ']+", text)
    }
    in_alarms = set(
        re.findall(r"\(([A-Z][a-z]* [a-z' ]+)\)", read("infra/package.json") + read("infra/resources.json"))
    )
    sources = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "chalicelib").rglob("*.py"))
    assert {line for line in in_page | in_alarms if f'"{line}' not in sources} == LOGGED_BY_LAMBDA


def test_alarms_are_listed() -> None:
    names = [
        re.sub(
            r"vitrine-\$\{Stage\}|\$\{AWS::StackName\}", "vitrine-<stage>", one["Properties"]["AlarmName"]["Fn::Sub"]
        )
        for template in ("infra/resources.json", "infra/package.json")
        for one in json.loads(read(template))["Resources"].values()
        if one.get("Type") == "AWS::CloudWatch::Alarm"
    ]
    assert first_cells("docs/operating.md", "Alarms") == set(names)


def test_metrics_are_listed() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "chalicelib").rglob("*.py")]
    counted = {name for text in sources for name in re.findall(r'telemetry\.\w+\(f?"([A-Z]\w+)', text)}
    listed = {name.partition(".")[0] for name in first_cells("docs/operating.md", "Metrics")}
    assert listed == counted


def test_limits_are_those_in_security_md() -> None:
    [everything, *others] = METHOD_SETTINGS
    limits = {method(one): (one["ThrottlingRateLimit"], one["ThrottlingBurstLimit"]) for one in others}
    web = limits.pop(("GET", "/web/{name}"))
    repeated = {
        limit for (verb, path), limit in limits.items() if (verb, path.partition("/{")[0]) == ("POST", "/webhooks")
    }
    [webhooks] = repeated
    [public] = set(limits.values()) - repeated
    security = " ".join(read("SECURITY.md").split())
    rate, burst = everything["ThrottlingRateLimit"], everything["ThrottlingBurstLimit"]
    assert f"{rate} requests a second, bursts of {burst}, for each method behind sign-in" in security
    assert f"{public[0]} and {public[1]} for each public one and each preflight" in security
    assert f"{web[0]} and {web[1]} for the console's files" in security
    assert f"{webhooks[0]} and {webhooks[1]} for sending an event to a webhook by hand" in security


def test_picture_of_the_packages_shows_all_imports() -> None:
    [picture] = [one.text for one in blocks("docs/architecture.md") if one.language == "mermaid"]
    drawn = re.findall(r"^ *(\w+)(?:\[.+\])? --> (\w+)$", picture, flags=re.MULTILINE)
    packages = {package(module) for module in FILES if "." in module} | {"app"}

    imports = {(package(module), package(name)) for module in FILES for name in own_imports(module)}

    assert set(drawn) == {(one, other) for one, other in imports if {one, other} <= packages and one != other}


def test_idle_costs_are_those_of_the_templates() -> None:
    costs = json.loads(read("bench/prices.json"))["cloudwatch"]

    def counted(*templates: str) -> str:
        kinds = [one.get("Type") for name in templates for one in json.loads(read(name))["Resources"].values()]
        alarms, dashboards = kinds.count("AWS::CloudWatch::Alarm"), kinds.count("AWS::CloudWatch::Dashboard")
        cost = f"${alarms * costs['alarm'] + dashboards * costs['dashboard']:.2f}: {alarms} alarms"
        return cost + (f", {dashboards} dashboard" if dashboards else "")

    documented = [row[4] for row in table_rows("docs/deploying.md")]
    assert documented[1:3] == [counted("infra/resources.json"), counted("infra/resources.json", "infra/package.json")]
