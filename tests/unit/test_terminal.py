"""What `make run` writes."""

from __future__ import annotations

import io

import pytest

from tools import logs
from tools.terminal import Terminal


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_each_line_stands_behind_its_programs_name(stream: io.StringIO) -> None:
    terminal = Terminal(stream)

    terminal.line("http", "Serving")
    terminal.line("on_messages", '{"level": "INFO"}')

    assert stream.getvalue() == 'http        │ Serving\non_messages │ {"level": "INFO"}\n'


def test_metrics_and_empty_lines_are_left_out(stream: io.StringIO) -> None:
    terminal = Terminal(stream)

    terminal.line("http", '{"_aws":{"Timestamp":1}}')
    terminal.line("http", " ")

    assert stream.getvalue() == ""


def test_the_lines_of_a_program_are_copied_until_it_ends(stream: io.StringIO) -> None:
    Terminal(stream).follow("http", io.BytesIO(b"one\n\xff two\n")).join()

    assert stream.getvalue() == "http        │ one\nhttp        │ \N{REPLACEMENT CHARACTER} two\n"


def test_a_closed_terminal_stops_nothing(stream: io.StringIO) -> None:
    stream.close()

    Terminal(stream).say("Stopping")


def test_what_lambda_adds_to_a_log_is_left_out() -> None:
    message = (
        "START RequestId: 1 Version: $LATEST\n{}\n  indented\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 2 ms\n"
    )

    assert logs.lines(message) == ["{}", "  indented"]
