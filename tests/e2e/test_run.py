"""`make run`, as a developer sees it in a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chalicelib.http import local_request_guard
from tests.builders import REQUIRED
from tests.e2e.shell import AWSCLI
from tests.e2e.system import configure, copy_project, free_port, request
from tests.e2e.terminals import Terminal, second_terminal, until
from tests.e2e.waiting import eventually


def alive(pids: set[int]) -> set[int]:
    left = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            left.add(pid)
    return left


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Start one system for the tests that can share it."""
    opened = Terminal(copy_project(tmp_path_factory.mktemp("run") / "project"))
    try:
        opened.await_text("Ctrl-C stops it")
        yield opened
    finally:
        opened.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    """Collect terminals, to close them after the test."""
    terminals: list[Terminal] = []
    yield terminals
    for one in terminals:
        one.close()


def test_ready_message_has_all_urls(terminal: Terminal) -> None:
    block = terminal.text.partition("Vitrine is running")[2].partition("\nhttp ")[0]

    assert request("GET", f"{terminal.url}/health").json()["stage"] == "local"
    assert block.splitlines()[2].split() == ["Console", f"{terminal.url}/"]
    for place in (f"{terminal.url}/", f"{terminal.url}/items", f"{terminal.url}/docs", str(terminal.project)):
        assert place in block


def test_shown_aws_commands_reach_the_emulator(terminal: Terminal) -> None:
    # AWS CLI 1 sends `aws sqs` to AWS, whatever endpoint a profile has.
    commands = re.search(r"^ *export AWS_CONFIG_FILE=.*\n *aws --endpoint-url .*", terminal.text, re.MULTILINE)
    assert commands is not None

    path = f"{AWSCLI}{os.pathsep}{os.environ['PATH']}"
    listed = subprocess.run(["sh", "-c", commands[0]], env={"PATH": path}, capture_output=True, check=True).stdout

    assert b"vitrine-local-jobs" in listed


def test_request_is_one_json_line_in_a_pipe(terminal: Terminal) -> None:
    before = len(terminal.text.splitlines())

    request("GET", f"{terminal.url}/hello?name=Ann")

    until(lambda: '"path":"/hello"' in terminal.text)
    lines = [line for line in terminal.text.splitlines()[before:] if line.startswith("http ") and "hello" in line]
    assert len(lines) == 1
    assert json.loads(lines[0].partition("│")[2])["status"] == 200


def test_shown_curl_command_creates_an_item(terminal: Terminal) -> None:
    command = re.search(r"^ *Try +(curl .*)$", terminal.text, re.MULTILINE)
    assert command is not None

    created = subprocess.run(["sh", "-c", command[1]], capture_output=True, check=True).stdout

    assert json.loads(created)["version"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("TRACE", "/items", 405, "METHOD_NOT_ALLOWED"),
        ("QUERY", "/items", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_unknown_routes_match_the_packaged_api(
    terminal: Terminal, method: str, path: str, status: int, code: str
) -> None:
    answer = request(method, terminal.url + path)

    assert (answer.status, answer.json()["error"]) == (status, code)


FROM_ELSEWHERE = [
    {"Origin": "https://shop.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    {"Host": "evil.example"},
    {"Host": "evil.example:{port}"},
    {"Host": "127.0.0.1:1"},
]


def is_refused_from_elsewhere(url: str, method: str, path: str) -> bool:
    """Return whether requests from other sites or for other host names get only a short refusal."""
    port = str(urlsplit(url).port)
    answers = [
        request(method, url + path, **{name: value.replace("{port}", port) for name, value in headers.items()})
        for headers in FROM_ELSEWHERE
    ]
    refused = [
        answer.status == 403 and (method == "HEAD" or answer.json()["error"] == "FORBIDDEN") for answer in answers
    ]
    return all(refused) and not any("Access-Control-Allow-Origin" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("HEAD", "/health"),
        ("GET", "/"),
        ("POST", "/items"),
        ("OPTIONS", "/items"),
        ("DELETE", "/items/1"),
        ("QUERY", "/items"),
        ("GET", "/nowhere"),
    ],
)
def test_other_sites_are_refused(terminal: Terminal, method: str, path: str) -> None:
    assert is_refused_from_elsewhere(terminal.url, method, path)


def test_its_own_pages_are_served(terminal: Terminal) -> None:
    for name in ("127.0.0.1", "localhost"):
        origin = f"http://{name}:{terminal.port}"
        sent = {"Host": f"{name}:{terminal.port}", "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert request("POST", f"{terminal.url}/items", {"title": "Ours"}, **sent).status == 201


def test_other_sites_may_link_to_the_console(terminal: Terminal) -> None:
    tab = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert request("GET", f"{terminal.url}/?code=1&state=2", **tab).status == 200
    assert request("GET", f"{terminal.url}/items", **tab).status == 403
    assert request("GET", f"{terminal.url}/", **(tab | {"Sec-Fetch-Dest": "iframe"})).status == 403


def test_plain_chalice_local_refuses_other_sites(project: Path) -> None:
    with second_terminal(project, {}, stage=None) as url:
        assert is_refused_from_elsewhere(url, "POST", "/items")
        assert request("GET", f"{url}/health").json()["stage"] == "dev"


def test_cors_origins_allow_other_pages(project: Path) -> None:
    configure(project / ".chalice" / "config.json", CORS_ORIGINS="https://shop.example")
    with second_terminal(project, {}) as url:
        allowed = request("GET", f"{url}/health", Origin="https://shop.example", Sec_Fetch_Site="cross-site")
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert request("GET", f"{url}/health", Origin="https://evil.example").status == 403


def test_cors_origins_allow_uploads(terminal: Terminal, project: Path) -> None:
    local, origin = terminal.project / ".local", "https://shop.example"
    (project / ".local").mkdir(exist_ok=True)
    for name in ("aws-config", local_request_guard.PORTS):
        (project / ".local" / name).symlink_to(local / name)
    configure(project / ".chalice" / "config.json", CORS_ORIGINS=origin)
    with second_terminal(project, {}) as url:
        item = request("POST", f"{url}/items", REQUIRED, Origin=origin).json()
        form = request("POST", f"{url}/items/{item['id']}/image", {"contentType": "image/png"}, Origin=origin)
    fields = [*form.json()["upload"]["fields"].items(), ("file", "picture")]
    parts = (f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
    body, type_ = f"{''.join(parts)}--b--\r\n".encode(), "multipart/form-data; boundary=b"

    for sender, status in (("https://evil.example", 403), (origin, 204)):
        reply = request("POST", form.json()["upload"]["url"], body, content_type=type_, Origin=sender)
        assert reply.status == status


def test_other_users_of_the_machine_cannot_read_the_data(terminal: Terminal) -> None:
    for path in (".local", ".local/emulator", ".local/aws-config", ".local/emulator/root-key"):
        assert (terminal.project / path).stat().st_mode & 0o077 == 0


def test_logs_of_event_functions_have_their_names(terminal: Terminal) -> None:
    bucket = terminal.client("s3").list_buckets(Prefix="vitrine-local-")["Buckets"][0]["Name"]

    terminal.client("s3").put_object(Bucket=bucket, Key="uploads/note.txt", Body=b"text")

    terminal.await_text("\non_upload     │ ", 30)


class Reloads:
    """What a change did: it counts the lines about changes, and the updates of the stack."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        stack = terminal.client("cloudformation").describe_stacks(StackName="vitrine-local")["Stacks"][0]
        api_id = next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "RestAPIId")
        self.packaged = f"http://127.0.0.1:{terminal.emulator_port}/_aws/execute-api/{api_id}/api"
        self.servers = terminal.text.count("Serving on")
        self.effects = terminal.text.count("in effect after")
        self.stack_updates = self._count_stack_updates()

    def await_effect(self) -> None:
        until(lambda: self.terminal.text.count("in effect after") > self.effects, 60)

    def restarts(self) -> int:
        return self.terminal.text.count("Serving on") - self.servers

    def new_stack_updates(self) -> int:
        return self._count_stack_updates() - self.stack_updates

    def _count_stack_updates(self) -> int:
        pages = self.terminal.client("cloudformation").get_paginator("describe_stack_events")
        return sum(
            event["LogicalResourceId"] == "vitrine-local" and event["ResourceStatus"].endswith("E_COMPLETE")
            for page in pages.paginate(StackName="vitrine-local")
            for event in page["StackEvents"]
        )


def test_saved_source_takes_effect(terminal: Terminal) -> None:
    source = terminal.project / "chalicelib" / "config.py"
    reloads = Reloads(terminal)

    source.write_text(re.sub(r"^VERSION = .*$", 'VERSION = "saved"', source.read_text(), flags=re.MULTILINE))

    reloads.await_effect()
    assert request("GET", f"{terminal.url}/health").json()["version"] == "saved"
    assert request("GET", f"{reloads.packaged}/health").json()["version"] == "saved"
    assert (reloads.restarts(), reloads.new_stack_updates()) == (1, 0)


def test_saved_source_takes_effect_in_the_consumer(terminal: Terminal) -> None:
    source = terminal.project / "chalicelib" / "catalogue" / "job_queue_consumer.py"
    good = source.read_text()
    reloads = Reloads(terminal)
    queue = terminal.client("sqs").get_queue_url(QueueName="vitrine-local-jobs")["QueueUrl"]

    source.write_text(good.replace('"Message processed"', '"Message processed by saved code"'))

    reloads.await_effect()
    message = {"type": "item.create", "owner": "local", "item": {"title": "By the consumer"}}
    terminal.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    terminal.await_text("Message processed by saved code", 60)
    source.write_text(good)
    until(lambda: terminal.text.count("in effect after") > reloads.effects + 1, 60)


def test_saved_web_file_takes_effect_without_a_restart(terminal: Terminal) -> None:
    web = terminal.project / "chalicelib" / "web"
    request("GET", f"{terminal.url}/web/console.css")
    reloads = Reloads(terminal)

    (web / "console.css").write_text(".saved {}")
    (web / "new.js").write_text("const isNew = true;")

    assert request("GET", f"{terminal.url}/web/console.css").body == b".saved {}"
    assert request("GET", f"{terminal.url}/web/new.js").body == b"const isNew = true;"
    reloads.await_effect()
    assert request("GET", f"{reloads.packaged}/web/console.css").body == b".saved {}"
    assert (reloads.restarts(), reloads.new_stack_updates()) == (0, 0)


def test_new_route_is_in_the_packaged_api_too(terminal: Terminal) -> None:
    source = terminal.project / "app.py"
    good = source.read_text()
    reloads = Reloads(terminal)

    source.write_text(good.replace('@app.route("/hello"', '@app.route("/greeting"'))

    reloads.await_effect()
    assert request("GET", f"{terminal.url}/greeting?name=Ann").status == 200
    terminal.await_text("The configuration of the API or the functions changed too", 60)
    assert reloads.new_stack_updates() == 1
    assert request("GET", f"{Reloads(terminal).packaged}/greeting?name=Ann").status == 200
    source.write_text(good)
    until(lambda: terminal.text.count("changed too") == 2, 60)


def test_saved_policy_takes_effect(terminal: Terminal) -> None:
    path = terminal.project / ".chalice" / "policy-on_messages-local.json"
    policy = json.loads(path.read_text())
    policy["Statement"].append({"Sid": "Saved", "Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"})
    reloads = Reloads(terminal)

    path.write_text(json.dumps(policy))

    reloads.await_effect()
    functions = terminal.client("lambda").list_functions()["Functions"]
    (role,) = {one["Role"].rpartition("/")[2] for one in functions if one["Handler"] == "app.on_messages"}
    iam = terminal.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    assert "Saved" in json.dumps(documents)
    assert (reloads.restarts(), reloads.new_stack_updates()) == (0, 1)


@pytest.mark.parametrize("mistake", ["def (", "import nothing_of_this_name"])
def test_broken_source_keeps_the_old_code(terminal: Terminal, mistake: str) -> None:
    source = terminal.project / "chalicelib" / "errors.py"
    good = source.read_text()
    refusals, effects = (terminal.text.count(phrase) for phrase in ("keeps running", "in effect after"))

    source.write_text(f"{good}\n{mistake}\n")

    until(lambda: terminal.text.count("keeps running") > refusals)
    assert "chalicelib/errors.py" in terminal.text
    assert request("GET", f"{terminal.url}/health").status == 200
    source.write_text(good)
    until(lambda: terminal.text.count("in effect after") > effects)


def test_second_server_finds_the_emulator(
    terminal: Terminal,
) -> None:
    signed_in = {"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}
    with second_terminal(terminal.project, signed_in | {"AWS_DEFAULT_REGION": "eu-west-1"}) as url:
        item = request("POST", f"{url}/items", {"title": "From the second"}).json()

    assert request("GET", f"{terminal.url}/items/{item['id']}").json()["title"] == "From the second"


def test_server_without_emulator_explains_it(project: Path) -> None:
    with second_terminal(project, {}) as url:
        answer = request("GET", f"{url}/items")

    assert answer.status == 503
    assert answer.json()["error"] == "BACKEND_UNAVAILABLE"
    assert "make run" in answer.json()["message"]


def test_second_run_is_one_sentence(terminal: Terminal) -> None:
    second = start_in_vain(terminal.project, free_port(), free_port())

    assert re.fullmatch(r"Another emulator \(process \d+\) uses .*: stop .*\.", second)


def test_port_in_use_is_one_sentence(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert re.fullmatch(rf"Port {port} .*\bPORT=.*\.", start_in_vain(project, port, free_port()))
        assert re.fullmatch(rf"Port {port} .*\bEMULATOR_PORT=.*\.", start_in_vain(project, free_port(), port))


def test_missing_emulator_is_one_sentence(project: Path) -> None:
    (project / ".venv-emulator").unlink()

    assert re.fullmatch(
        r"The emulator is not installed .*`make run`\.", start_in_vain(project, free_port(), free_port())
    )


def test_ctrl_c_stops_all_and_keeps_the_data(project: Path, opened: list[Terminal]) -> None:
    first = Terminal(project)
    opened.append(first)
    first.await_text("Ctrl-C stops it")
    item = request("POST", f"{first.url}/items", {"title": "Kept"}).json()
    bucket = first.client("s3").list_buckets(Prefix="vitrine-local-")["Buckets"][0]["Name"]
    first.client("s3").put_object(Bucket=bucket, Key="imports/kept", Body=b"kept")
    eventually(lambda: list((project / ".local" / "emulator" / "tmp").glob("ministack-lambda-*-OnChange-*")))
    family = first.descendants()

    first.process.send_signal(signal.SIGINT)  # while a function processes the change
    first.process.send_signal(signal.SIGINT)

    assert first.await_end() == 0
    assert len(family) >= 2
    assert not alive(family)
    assert not list((project / ".local" / "emulator" / "tmp").iterdir())

    began = time.monotonic()
    second = Terminal(project)
    opened.append(second)
    second.await_text("Ctrl-C stops it")
    assert time.monotonic() - began < 10
    assert "Deploying" not in second.text
    assert request("GET", f"{second.url}/items/{item['id']}").json()["title"] == "Kept"
    assert second.client("s3").get_object(Bucket=bucket, Key="imports/kept")["Body"].read() == b"kept"

    family = second.descendants()
    second.process.send_signal(signal.SIGHUP)
    assert second.await_end() == 0
    assert not alive(family)


def test_killed_emulator_ends_the_run(project: Path, opened: list[Terminal]) -> None:
    terminal = Terminal(project)
    opened.append(terminal)
    terminal.await_text("Ctrl-C stops it")
    family = terminal.descendants()

    os.kill(int((project / ".local" / "emulator" / "lock").read_text()), signal.SIGKILL)

    assert terminal.await_end() == 1
    assert "The emulator stopped unexpectedly" in terminal.text
    assert "saving the data" not in terminal.text
    assert "Traceback" not in terminal.text
    eventually(lambda: not alive(family))  # a save that had started may end a moment later


def start_in_vain(project: Path, port: int, emulator_port: int) -> str:
    """Return the one line of output if the system cannot start."""
    command = [sys.executable, "-m", "tools.laptop.run", "--port", str(port), "--emulator-port", str(emulator_port)]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert len(lines) == 1
    return lines[0]
