"""The output of ``make run``."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tools import log_reader
from tools.laptop.terminal_output import Terminal


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_lines_start_with_the_programs_name(stream: io.StringIO) -> None:
    terminal = Terminal(stream)

    terminal.write_line_of("http", "Serving")
    terminal.write_line_of("on_messages", '{"level": "INFO"}')

    assert stream.getvalue() == 'http          │ Serving\non_messages   │ {"level": "INFO"}\n'


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


ANSWERED = {"level": "INFO", "message": "Response sent", "service": "vitrine", "stage": "local", "request_id": "1"}
ANSWERED |= {"function": "api_handler", "cold_start": False, "method": "GET", "path": "/items/{item_id}"}


def shown(environ: dict[str, str] | None = None, **fields: Any) -> str:
    """Return the text that a terminal shows for a log line of the program http."""
    screen = Screen()
    Terminal(screen, environ or {}).write_line_of("http", json.dumps(fields))
    return screen.getvalue()


class TestTerminal:
    @pytest.mark.parametrize(("status", "colour"), [(200, 32), (302, 36), (404, 33), (503, 31)])
    def test_request_is_one_line_coloured_by_status(self, status: int, colour: int) -> None:
        line = shown(**ANSWERED, status=status, duration_ms=12.3)

        assert line == f"http          │ \x1b[{colour}m{status} GET /items/{{item_id}} 12.3 ms\x1b[0m\n"

    def test_no_color_switches_colours_off(self) -> None:
        line = shown({"NO_COLOR": "1"}, **ANSWERED, status=200, duration_ms=1)

        assert line == "http          │ 200 GET /items/{item_id} 1 ms\n"

    def test_log_json_switches_to_json(self) -> None:
        fields = ANSWERED | {"status": 200}

        assert shown({"LOG": "json"}, **fields) == f"http          │ {json.dumps(fields)}\n"

    def test_info_line_has_fields_without_ids(self) -> None:
        message = "Thumbnail job skipped: object deleted"
        line = shown(level="INFO", message=message, key="uploads/a", request_id="1", stage="local")

        assert line == "http          │ Thumbnail job skipped: object deleted  key=uploads/a\n"

    def test_error_has_request_id_and_traceback(self) -> None:
        line = shown({"NO_COLOR": "1"}, level="ERROR", message="Bad", request_id="1", exception="Trace\n  KeyError: 7")

        assert (
            line == "http          │ ERROR  Bad  request_id=1\nhttp          │ Trace\nhttp          │   KeyError: 7\n"
        )

    def test_control_characters_are_escaped(self) -> None:
        line = shown({"NO_COLOR": "1"}, **ANSWERED | {"path": "/\x1b[2J"}, status=404)

        assert line == "http          │ 404 GET /\\x1b[2J\n"

    @pytest.mark.parametrize("text", ["Serving", "7", '{"a": 1}', '{"message": "no level", "status": "x"}'])
    def test_other_lines_are_shown(self, text: str) -> None:
        screen = Screen()

        Terminal(screen, {}).write_line_of("http", text)

        assert screen.getvalue().strip()


def test_metrics_and_empty_lines_are_skipped(stream: io.StringIO) -> None:
    terminal = Terminal(stream)

    terminal.write_line_of("http", '{"_aws":{"Timestamp":1}}')
    terminal.write_line_of("http", " ")

    assert stream.getvalue() == ""


def test_output_of_a_program_is_copied_until_it_ends(stream: io.StringIO) -> None:
    Terminal(stream).follow("http", io.BytesIO(b"one\n\xff two\n")).join()

    assert stream.getvalue() == "http          │ one\nhttp          │ \N{REPLACEMENT CHARACTER} two\n"


def test_closed_stream_is_no_error(stream: io.StringIO) -> None:
    stream.close()

    Terminal(stream).write("Stopping")


def test_lines_of_lambda_are_skipped() -> None:
    message = (
        "START RequestId: 1 Version: $LATEST\n{}\n  indented\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 2 ms\n"
    )

    assert log_reader.own_lines(message) == ["{}", "  indented"]
