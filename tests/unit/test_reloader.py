"""What `make run` does again after a change of each kind of file, with fakes of the parts that do it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tools.interruption import Interruption
from tools.laptop import code_stack, reloader
from tools.laptop.code_stack import Deployment
from tools.laptop.reloader import Effects, Packager, Reloader, effects
from tools.laptop.terminal_output import Terminal
from tools.stage import app_sources
from tools.stage.errors import StageError

SOURCES = {
    "app.py": "app = 1\n",
    "chalicelib/items.py": "ITEMS = 1\n",
    "chalicelib/openapi.json": "{}",
    "chalicelib/web/console.css": "",
    ".chalice/config.json": "{}",
    ".chalice/policy-on_upload-local.json": "{}",
    "infra/package.json": "{}",
    "requirements.txt": "",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("app.py", Effects(http=True, code=True)),
        ("chalicelib/catalogue/items.py", Effects(http=True, code=True)),
        ("chalicelib/catalogue/item_fields.py", Effects(http=True, code=True)),
        ("vendor/own.py", Effects(http=True, code=True)),
        ("chalicelib/web/console.js", Effects(code=True)),
        (".chalice/config.json", Effects(http=True, stack=True)),
        (".chalice/policy-on_upload-local.json", Effects(stack=True)),
        ("infra/package.json", Effects(stack=True)),
        ("requirements.txt", Effects(stack=True)),
    ],
)
def test_each_kind_of_file_has_its_effects(path: str, expected: Effects) -> None:
    assert effects(Path(path)) == expected


class Parts:
    """Fakes of the HTTP server, the packager and the emulator, which record what they are asked to do."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.problems: dict[str, str] = {}
        self.changes_template = False
        self.writes_openapi = ""
        self.functions: dict[str, str] = {}

    def do(self, what: str) -> None:
        self.calls.append(what)
        if problem := self.problems.get(what):
            raise StageError(problem)

    def load(self) -> None:
        self.do("load server")

    def wait_until_loaded(self) -> None:
        self.do("loaded")

    def discard(self) -> None:
        self.do("discard server")

    def replace(self) -> None:
        self.do("replace server")

    def wait_until_ready(self) -> None:
        self.do("ready")

    def package(self) -> Any:
        self.do("package with chalice")
        return "package"

    def package_code(self) -> Any:
        return "code"

    def update_openapi(self, project_dir: Path, report: Any) -> bool:
        self.do("openapi")
        if self.writes_openapi:
            (project_dir / "chalicelib" / "openapi.json").write_text(self.writes_openapi)
        return bool(self.writes_openapi)

    def update_code(self, *_: Any, same_template: bool) -> bool:
        self.do("update code")
        return same_template

    def deploy(self, *_: Any) -> Deployment:
        self.do("deploy")
        return Deployment("abc", {"on_upload": "v-OnUpload"}, self.changes_template)

    def follow(self, functions: dict[str, str]) -> None:
        self.functions = functions


class Project:
    """A project under a Reloader."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        self.parts = parts
        self.folder = folder
        for path, text in SOURCES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self._stream = io.StringIO()
        fakes: Any = parts
        packager = Packager(folder, folder / "build", folder / "kept", print)
        self.reloader = Reloader(
            packager, app_sources.stamps(folder), fakes, fakes, fakes, Terminal(self._stream), Interruption()
        )
        self.reloader._packager = fakes

    def save(self, *texts: str, **_: str) -> list[str]:
        """Save ``path=text`` for each of ``texts``. Return what the parts were then asked to do, until the end."""
        for one in texts:
            path, _, text = one.partition("=")
            (self.folder / path).write_text(text)
        return self.apply()

    def apply(self) -> list[str]:
        self.parts.calls.clear()
        self.reloader.apply_changes()
        return list(self.parts.calls)

    def finish_check(self) -> list[str]:
        self.reloader._pool.submit(lambda: None).result()
        return self.apply()

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    fakes = Parts()
    monkeypatch.setattr(code_stack, "deploy", fakes.deploy)
    monkeypatch.setattr(code_stack, "update_code", fakes.update_code)
    monkeypatch.setattr(reloader, "update_openapi", fakes.update_openapi)
    return fakes


@pytest.fixture
def project(tmp_path: Path, parts: Parts) -> Project:
    return Project(tmp_path, parts)


def without_check(calls: list[str]) -> list[str]:
    """Return the calls without the check in the background, which runs at any time."""
    return [call for call in calls if call != "package with chalice"]


def test_nothing_is_done_without_a_change(project: Project) -> None:
    assert project.apply() == []
    assert project.text == ""


def test_changed_code_restarts_the_server_and_updates_the_functions(project: Project) -> None:
    calls = without_check(project.save("app.py=app = 22"))

    assert calls == ["load server", "openapi", "loaded", "replace server", "update code", "ready"]
    assert project.text.startswith("Saved app.py: in effect after 0.")
    assert project.text.endswith(" s (HTTP server restarted, functions updated).\n")


def test_changed_web_file_restarts_nothing(project: Project) -> None:
    assert project.save("chalicelib/web/console.css=a {}") == ["update code"]
    assert project.finish_check() == []
    assert "(functions updated)" in project.text


def test_changed_configuration_is_packaged_before_the_server_is_replaced(project: Project) -> None:
    assert project.save('.chalice/config.json={"a": 1}') == [
        "load server",
        "openapi",
        "package with chalice",
        "loaded",
        "replace server",
        "deploy",
        "ready",
    ]


def test_changed_policy_restarts_nothing(project: Project) -> None:
    calls = project.save('.chalice/policy-on_upload-local.json={"a": 1}')

    assert calls == ["package with chalice", "deploy"]
    assert "(functions and their configuration updated)" in project.text


def test_changed_requirements_need_a_restart_by_hand(project: Project) -> None:
    assert project.save("requirements.txt=boto3") == ["package with chalice", "deploy"]
    assert "HTTP still uses the old packages" in project.text


def test_template_is_checked_after_the_code_is_in_effect(project: Project) -> None:
    project.save("app.py=app = 22")
    output = project.text

    assert without_check(project.finish_check()) == ["deploy"]
    assert project.text == output
    assert project.finish_check() == []


def test_changed_template_is_deployed_and_reported(project: Project) -> None:
    project.parts.changes_template = True
    project.save("app.py=app = 22")

    project.finish_check()

    assert "The configuration of the API or the functions changed too" in project.text
    assert project.parts.functions == {"on_upload": "v-OnUpload"}


def test_check_of_older_sources_is_not_deployed(project: Project) -> None:
    project.save("app.py=app = 22")
    project.parts.problems["openapi"] = "NameError: no x."

    project.save("app.py=app = x")

    assert project.finish_check() == []


@pytest.mark.parametrize("part", ["openapi", "loaded"])
def test_code_that_does_not_load_replaces_nothing(project: Project, part: str) -> None:
    project.parts.problems[part] = "NameError: no x."

    calls = project.save("app.py=app = x")

    assert calls[-1] == "discard server"
    assert {"replace server", "update code", "deploy"}.isdisjoint(calls)
    assert project.text == "Saved app.py: NameError: no x. The previous code keeps running.\n"


def test_syntax_error_is_one_line(project: Project) -> None:
    assert project.save("app.py=def (") == ["discard server"]
    assert project.text == "Saved app.py: app.py, line 1: invalid syntax. The previous code keeps running.\n"


def test_change_beside_an_error_takes_effect_with_the_correction(project: Project) -> None:
    project.save("app.py=def (", '.chalice/policy-on_upload-local.json={"a": 1}')

    calls = project.save("app.py=app = 22")

    assert "deploy" in calls


def test_emulator_that_refuses_the_functions_does_not_end_the_run(project: Project) -> None:
    project.parts.problems["deploy"] = "The policy is not valid."

    project.save('.chalice/policy-on_upload-local.json={"a": 1}')

    assert "The policy is not valid. Not all functions have the new code." in project.text
    project.parts.problems.clear()
    assert "deploy" in project.save("app.py=app = 22")


def test_written_openapi_document_is_not_a_change_of_its_own(project: Project) -> None:
    project.parts.writes_openapi = '{"openapi": "3.1.0"}'

    project.save("app.py=app = 22")

    assert without_check(project.finish_check()) == ["deploy"]
    assert "openapi.json" not in project.text


def test_many_files_are_counted(project: Project) -> None:
    project.save(*(f"chalicelib/new{n}.py=" for n in range(5)))

    assert "Saved chalicelib/new0.py, chalicelib/new1.py, chalicelib/new2.py and 2 more: in effect" in project.text
