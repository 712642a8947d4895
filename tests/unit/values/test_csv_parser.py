from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib import errors
from chalicelib.values import csv_parser
from chalicelib.values.csv_parser import Row, Table

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text('ab",;\t\r\n', max_size=8)
# A name that contains another delimiter than its file has makes it ambiguous which one the file has.
names = st.lists(
    st.text("abcß\"' \n", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=4, unique_by=str.strip
)


@given(st.data(), names, st.sampled_from(csv_parser.DELIMITERS), st.sampled_from(["\r\n", "\n", "\r"]))
def test_table_is_read_as_it_was_written(data: st.DataObject, columns: list[str], delimiter: str, end: str) -> None:
    assume(len(columns) > 1 or delimiter == ",")
    rows = data.draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns))))
    file = io.StringIO(newline="")
    # By default, the writer quotes only those line breaks that it uses itself.
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(columns)
    lines = [written(writer, file, row) for row in rows]

    table = csv_parser.parse(file.getvalue())

    assert table.columns == [name.strip() for name in columns]
    assert table.rows == [Row(line, row) for line, row in zip(lines, rows, strict=True) if any(row)]


def written(writer: object, file: io.StringIO, row: list[str]) -> int:
    """Write a row, and return the number of its first line."""
    line = len(list(io.StringIO(file.getvalue(), newline=""))) + 1
    writer.writerow(row)  # type: ignore[attr-defined]
    return line


@given(st.text('ab",;\t\r\n', max_size=40) | st.text(max_size=40))
def test_other_text_is_refused_with_its_place(text: str) -> None:
    try:
        csv_parser.parse(text)
    except errors.InvalidCsvError as error:
        message = error.message
    else:
        return
    assert re.search(r"line \d+, .*column (\d+|\".*\"): |no header row", message, re.DOTALL)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a,b\n1,2\n", Table(["a", "b"], [Row(2, ["1", "2"])])),
        ("a;b\n1,5;2\n", Table(["a", "b"], [Row(2, ["1,5", "2"])])),
        ("a\tb\n1;,\t2", Table(["a", "b"], [Row(2, ["1;,", "2"])])),
        ('"a;x",b\n1,2', Table(["a;x", "b"], [Row(2, ["1", "2"])])),
        ("Preis, EUR;Titel\n1;2", Table(["Preis, EUR", "Titel"], [Row(2, ["1", "2"])])),
        ("a\n1;2\t3\n", Table(["a"], [Row(2, ["1;2\t3"])])),
        (" a , b\n 1 ,2", Table(["a", "b"], [Row(2, [" 1 ", "2"])])),
        ("\n\na,b\n\n,\n1\n1,2,,\n", Table(["a", "b"], [Row(6, ["1"]), Row(7, ["1", "2"])])),
        ('a,b\n"1\n2",3\n4,5', Table(["a", "b"], [Row(2, ["1\n2", "3"]), Row(4, ["4", "5"])])),
        ('a,b\r\n"say ""x""",3\r\n', Table(["a", "b"], [Row(2, ['say "x"', "3"])])),
        ('a\nx"y', Table(["a"], [Row(2, ['x"y'])])),
        ("a,b", Table(["a", "b"], [])),
    ],
)
def test_rows(text: str, table: Table) -> None:
    assert csv_parser.parse(text) == table


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no header row"),
        ("\n\n", "it has no header row"),
        ("a,,c\n1,2,3", "line 1, column 2: it has no name"),
        ("a,b,\n1,2", "line 1, column 3: it has no name"),
        ("a,b, a\n1,2,3", 'line 1, column 3: "a" is already the name of another column'),
        ('a,b\n1,"2\n3,4\n', 'line 2, column "b": the double quote at the start of the cell is not closed'),
        ('a,b\n"1\n1",2\n3,"', 'line 4, column "b": the double quote at the start of the cell is not closed'),
        ('a,b\n1,"2""', 'line 2, column "b": the double quote at the start of the cell is not closed'),
        (
            'a,b\n"x,""y"z,2',
            'line 2, column "a": text follows a closing quote; write a quote inside a quoted cell as two quotes',
        ),
        ('a,"b\n1,2', "line 1, column 2: the double quote at the start of the cell is not closed"),
        ("a\n1,2", 'line 2, after column "a": the row has 2 cells, more than the header row, which has 1'),
        (
            "a;b\n1;2;3",
            (
                'line 2, after column "b": the row has 3 cells, more than the header row, which has 2; write a cell '
                "that contains a semicolon in double quotes"
            ),
        ),
    ],
)
def test_invalid_csv_is_refused(text: str, problem: str) -> None:
    with pytest.raises(errors.InvalidCsvError) as refused:
        csv_parser.parse(text)

    assert refused.value.message.startswith(f"The body is not valid CSV in UTF-8: {problem}")
    assert refused.value.message.endswith(".")


def test_large_cell_is_read() -> None:
    assert csv_parser.parse("a\n" + "x" * 1_000_000).rows == [Row(2, ["x" * 1_000_000])]
