"""The docs say what the code does: what they name is there, and what is there they name."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import chalice.cli
import click
import pytest
import yaml

import app
from chalicelib import config, errors
from chalicelib.aws import bucket, table
from chalicelib.catalogue import messages, models
from tests.blocks import blocks
from tools.stage import policies

PROJECT = Path(__file__).resolve().parents[2]
DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("0*.md"))
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def code(text: str) -> str:
    return "\n".join(re.findall(r"```.*?```|`[^`\n]*`", text, flags=re.DOTALL))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(page: str, section: str = "") -> list[list[str]]:
    """The cells of each row of the tables under a heading, or before the first one below the title."""
    parts = re.split(r"^## ", read(page), flags=re.MULTILINE)
    text = next(part for part in parts[1:] if part.startswith(section)) if section else parts[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows if not set(row[0]) <= {"-", " "}][1:]


def all_below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from all_below(below)


class TestEveryPage:
    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_links_lead_somewhere(self, page: Path) -> None:
        for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
            if link.startswith(("https://", "http://", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_make_has_the_targets_that_are_named(self, page: Path) -> None:
        targets = set(re.findall(r"^([a-z][a-z0-9-]*):", read("Makefile"), flags=re.MULTILINE))
        named = re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
        assert set(named) <= targets

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_is_reached_from_the_readme(self, page: Path) -> None:
        seen, ahead = set(), [PROJECT / "README.md"]
        while ahead:
            at = ahead.pop()
            seen.add(at)
            links = re.findall(r"\]\(([^)\s#]+\.md)", without_code(at.read_text(encoding="utf-8")))
            found = {(at.parent / link).resolve() for link in links if not link.startswith("http")}
            ahead += found - seen
        assert page in seen


TYPED = {
    name
    for path in PROJECT.glob("tests/**/test_*.py")
    for name in re.findall(r'(?:\bblock\([^"]*(?:"[^"]*", )?|\brunbook\()"([\w -]+)"', path.read_text(encoding="utf-8"))
}
"""The names of the code in the pages that tests run."""


def is_of_a_shell(code: str) -> bool:
    return re.search(r"^(aws|curl|git|make|pip|python3?|\.venv/\S+|\.ci/\S+|\w+=\S+) ", code, re.MULTILINE) is not None


class TestCommands:
    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_are_run_by_a_test(self, page: Path) -> None:
        """Or are of make alone: CI runs those, or they have tests of their own."""
        for one in blocks(name_of(page)):
            if one.language in ("", "bash") and one.name not in TYPED and is_of_a_shell(one.text):
                assert [line for line in one.text.splitlines() if not line.startswith(("make ", "git clone "))] == []

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_give_make_what_it_looks_at(self, page: Path) -> None:
        text = code(page.read_text(encoding="utf-8"))
        for words in re.findall(r"(?m)(?:^|`)make [a-z][a-z0-9-]*([^`#\n]*)", text):
            for variable in re.findall(r"\b([A-Z_]+)=", words):
                assert re.search(rf"\b{variable}\b", read("Makefile")), words

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_give_a_tool_what_it_takes(self, page: Path) -> None:
        text = code(page.read_text(encoding="utf-8"))
        for module, words in re.findall(r"\bpython -m (tools[.\w]+) ([^`\n]+)", text):
            path = PROJECT.joinpath(*module.split("."))
            command = importlib.import_module(f"{module}.__main__" if path.is_dir() else module)
            parse = getattr(command, "parse", None) or command.parser().parse_args
            parse(shlex.split(words))

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_give_chalice_what_it_takes(self, page: Path) -> None:
        text = code(page.read_text(encoding="utf-8"))
        for name, words in re.findall(r"(?m)(?:`|bin/|^)chalice ([a-z-]+)([^`\n]*)", text):
            command = chalice.cli.cli.get_command(click.Context(chalice.cli.cli), name)
            assert command is not None, name
            command.make_parser(click.Context(command)).parse_args(shlex.split(words))


class TestHooks:
    def test_run_what_make_has(self) -> None:
        hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
        targets = set(re.findall(r"^([a-z][a-z0-9-]*):", read("Makefile"), flags=re.MULTILINE))
        assert hooks
        assert {hook["entry"].removeprefix("make ") for hook in hooks} <= targets


class TestReadme:
    def test_names_the_two_commands(self) -> None:
        assert "\nmake run " in read("README.md")
        assert "\nmake test " in read("README.md")

    def test_has_one_session_to_run(self) -> None:
        assert [one.language for one in blocks("README.md") if one.name == "session"] == ["bash"]

    def test_knows_every_folder_of_the_project(self) -> None:
        folders = {"chalicelib", "infra", "tools", "tests", "docs", ".chalice"}
        assert {folder for folder in folders if f"`{folder}/`" not in read("README.md")} == set()


class TestScreenshots:
    @pytest.mark.parametrize("picture", sorted((PROJECT / "docs" / "screenshots").iterdir()), ids=name_of)
    def test_are_quick_to_load(self, picture: Path) -> None:
        assert picture.stat().st_size < 150_000


class TestArchitecture:
    def test_has_exactly_the_routes_that_the_app_has(self) -> None:
        routes = {
            f"`{method} {path}`" for path, methods in app.app.routes.items() for method in methods if method != "HEAD"
        }
        assert {row[0] for row in table_rows("docs/architecture.md", "Path 1: HTTP")} == routes

    def test_names_every_module(self) -> None:
        folder = PROJECT / "chalicelib"
        files = [path for path in folder.rglob("*.py") if path.stat().st_size > 100]  # not those that make packages
        modules = {f"`{path.relative_to(folder).as_posix()}`" for path in files}
        named = {row[0] for row in table_rows("docs/architecture.md", "The files")}
        assert modules <= named
        assert {name for name in named if name.endswith(".py`")} == modules | {"`app.py`"}

    def test_says_of_each_function_what_it_may_do(self) -> None:
        functions = {f"`{name}`" for name in policies.for_stage(PROJECT, "dev")}
        assert {row[0] for row in table_rows("docs/architecture.md", "Who may do what")} == functions

    def test_has_exactly_the_messages_that_the_queue_takes(self) -> None:
        said = {
            row[0]: set(re.findall(r"`(\w+)`", row[1]))
            for row in table_rows("docs/architecture.md", "Path 3: the queue")
        }
        taken = {
            f"`{message.__struct_config__.tag}`": set(message.__struct_encode_fields__)
            for message in get_args(messages.Message)
        }
        assert said == taken

    def test_has_every_kind_of_record_and_every_folder_of_the_bucket(self) -> None:
        rows = table_rows("docs/architecture.md", "What lies where")
        assert {kind for row in rows for kind in re.findall(r"^`([A-Z]+)#", row[0])} == set(get_args(table.Kind))
        folders = {f"{folder}/" for row in rows for folder in re.findall(r"^`([a-z]+)/", row[0])}
        assert folders == {bucket.UPLOADS, bucket.THUMBNAILS, bucket.IMPORTS}

    def test_moves_a_picture_through_the_states_that_there_are(self) -> None:
        rows = table_rows("docs/architecture.md", "Path 2: a picture")
        states = {f"`{state}`" for state in get_args(models.ImageStatus)}
        assert {row[2].partition(",")[0] for row in rows} == states | {"(none)"}
        assert {row[0] for row in rows} <= states | {"(none)", "any"}

    @pytest.mark.parametrize("handler", ["on_upload", "on_messages", "clean_up"])
    def test_tells_of_every_event_function(self, handler: str) -> None:
        assert handler in app.app.handler_map
        assert f"`{handler}`" in read("docs/architecture.md")


class TestErrors:
    def test_are_listed_with_their_status(self) -> None:
        listed = {(row[0], row[1]) for row in table_rows("docs/errors.md")}
        assert listed == {(f"`{error.code}`", str(error.status)) for error in all_below(errors.ApiError)}

    def test_of_pictures_are_listed(self) -> None:
        listed = {row[0] for row in table_rows("docs/errors.md", "Picture errors")}
        assert listed == {f"`{error.code}`" for error in all_below(errors.ImageError)}

    def test_of_api_gateway_are_listed(self) -> None:
        responses = json.loads(read("infra/package.json"))["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
        templates = [response["ResponseTemplates"]["application/json"] for response in responses.values()]
        codes = {found[1] for template in templates if (found := re.match(r'{"error": "([A-Z_]+)"', template))}
        assert {row[0] for row in table_rows("docs/errors.md", "Errors from API Gateway")} == {
            f"`{code}`" for code in codes
        }


class TestDifferences:
    """Between the ways of running. Those that are known from a test are in tests/e2e/test_door.py."""

    ROWS = table_rows("docs/errors.md", "Where the ways of running differ")

    def test_say_how_they_are_known(self) -> None:
        assert {row[3] for row in self.ROWS} == {"test", "template", "documentation"}

    def test_of_the_template_are_in_it(self) -> None:
        requests = [row[0] for row in self.ROWS if row[3] == "template"]
        api = json.loads(read("infra/package.json"))["Resources"]["RestAPI"]["Properties"]
        compressed = json.loads(read(".chalice/config.json"))["minimum_compression_size"]

        assert requests == ["many requests at once", "a response of more than 1 KB, with `Accept-Encoding: gzip`"]
        assert all(settings["ThrottlingRateLimit"] for settings in api["MethodSettings"])
        assert compressed == 1024


class TestSettings:
    def test_are_exactly_those_that_are_read(self) -> None:
        environ = Asked()
        config.load(environ)
        assert {row[0] for row in table_rows("docs/settings.md")} == {f"`{name}`" for name in environ.names}

    def test_may_be_set_to_their_defaults(self) -> None:
        defaults = {row[0].strip("`"): row[1].strip("`") for row in table_rows("docs/settings.md") if row[1] != "none"}
        assert config.load(defaults) == config.load({})

    def test_of_make_are_there(self) -> None:
        rows = table_rows("docs/settings.md", "Of make")
        makefile = read("Makefile")
        variables = dict(re.findall(r"^([A-Z_]+) \?= ?(.*)$", makefile, flags=re.MULTILINE))
        variables |= dict(re.findall(r"\$\(or \$\(([A-Z_]+)\),(\w+)\)", makefile))
        told = re.findall(r"\b([A-Z_]+)=", "\n".join(re.findall(r"## (.*)", makefile)))
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == {*variables, *told}
        plain = {row[0].strip("`"): row[1].strip("`") for row in rows if row[1].startswith("`")}
        assert plain == {name: variables[name] for name in plain}


class Asked(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


class TestOperating:
    def test_explains_every_alarm(self) -> None:
        names = [
            re.sub(
                r"vitrine-\$\{Stage\}|\$\{AWS::StackName\}",
                "vitrine-<stage>",
                one["Properties"]["AlarmName"]["Fn::Sub"],
            )
            for template in ("infra/resources.json", "infra/package.json")
            for one in json.loads(read(template))["Resources"].values()
            if one.get("Type") == "AWS::CloudWatch::Alarm"
        ]
        rows = table_rows("docs/operating.md", "Alarms")
        assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row[0])) == sorted(names)

    def test_explains_every_metric(self) -> None:
        sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "chalicelib").rglob("*.py")]
        counted = {name for text in sources for name in re.findall(r'(?:count|took|read)\(f?"(\w+)', text)}
        rows = table_rows("docs/operating.md", "Metrics")
        assert {name for row in rows for name in re.findall(r"`(\w+)", row[0])} == counted


class TestDecisions:
    def test_are_all_in_the_index_by_number_and_title(self) -> None:
        listed = re.findall(r"^- (?:\*\*)?\[(.+)\]\((.+)\)", read("docs/decisions/README.md"), flags=re.MULTILINE)
        expected = []
        for number, page in enumerate(DECISIONS, 1):
            assert page.name.startswith(f"{number:04d}-")
            title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            assert title.startswith(f"{number}. ")
            expected.append((title, page.name))
        assert sorted(listed, key=lambda one: one[1]) == expected

    @pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
    def test_say_what_and_why_and_what_they_cost(self, page: Path) -> None:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings == ["What", "Why", "What it costs", "What would change our mind"]

    @pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
    def test_fit_a_screen(self, page: Path) -> None:
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 40
