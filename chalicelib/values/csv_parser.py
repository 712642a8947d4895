"""Parse CSV (RFC 4180) into rows of cells. The header row decides the delimiter."""

from __future__ import annotations

import csv
import io
import re
from typing import NamedTuple

from chalicelib import errors
from chalicelib.values import truncation

DELIMITERS = ("\t", ";", ",")
"""If several split the header row into equally many columns, the first one counts: names rarely contain it."""

# The default is 128 KB. A larger cell than an item may have is reported when the item is validated.
csv.field_size_limit(16 * 1024**2)


class Row(NamedTuple):
    """A row, and the number of the line where it begins. A quoted cell may contain line breaks."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """The names of the columns, and the rows. A row may have fewer cells than there are columns, but not more."""

    columns: list[str]
    rows: list[Row]


def parse(text: str) -> Table:
    """Return the rows of CSV with a header row. Spaces around the names of columns are removed.

    Rows without any content are left out, and so are empty cells after the last column.

    Raise InvalidCsvError with the line and the column if the text is not CSV, if a row has more cells than there are
    columns, or if the name of a column is missing or repeated.
    """
    delimiter = _find_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table: Table | None = None
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise _syntax_error(text, line, delimiter, table.columns if table else []) from None
        if cells is None:
            break
        if table is None and cells:
            table = Table(_columns(cells, line), [])
        elif table and any(cells):
            table.rows.append(Row(line, _without_extra_cells(table.columns, cells, line, delimiter)))
        line = reader.line_num + 1
    if table is None:
        raise errors.InvalidCsvError(problem="it has no header row")
    return table


def _find_delimiter(text: str) -> str:
    """Return the delimiter that splits the header row into the most columns: the comma if none splits it."""

    def columns(delimiter: str) -> int:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return len(next(filter(None, rows), ()))

    found = max(DELIMITERS, key=columns)
    return found if columns(found) > 1 else ","


def _columns(cells: list[str], line: int) -> list[str]:
    """Return the names of the columns. Raise InvalidCsvError if one is missing or repeated."""
    names = [name.strip() for name in cells]
    known: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            raise _error(line, f"column {number}", "it has no name")
        if name in known:
            raise _error(line, f"column {number}", f"{_quoted(name)} is already the name of another column")
        known.add(name)
    return names


def _without_extra_cells(columns: list[str], cells: list[str], line: int, delimiter: str) -> list[str]:
    """Return a row without empty cells after the last column. Raise InvalidCsvError if a cell there is not empty."""
    if any(cells[len(columns) :]):
        counts = f"the row has {len(cells)} cells, more than the header row, which has {len(columns)}"
        advice = f"write a cell that contains {_NAMES[delimiter]} in double quotes"
        raise _error(line, f"after column {_quoted(columns[-1])}", f"{counts}; {advice}")
    return cells[: len(columns)]


_NAMES = {"\t": "a tab", ";": "a semicolon", ",": "a comma"}


def _syntax_error(text: str, line: int, delimiter: str, columns: list[str]) -> errors.InvalidCsvError:
    """Return the error for text in which the row that begins at ``line`` is not CSV."""
    row = "".join(list(io.StringIO(text, newline=""))[line - 1 :])
    cell = re.compile(rf'(?P<quoted>"(?:[^"]|"")*+")|(?P<open>")|[^{delimiter}\r\n]*')
    column, position = 0, 0
    while (found := cell.match(row, position)) and not found["open"] and row[found.end() :].startswith(delimiter):
        column, position = column + 1, found.end() + 1
    place = f"column {_quoted(columns[column])}" if column < len(columns) else f"column {column + 1}"
    if found and found["quoted"]:
        return _error(line, place, "text follows a closing quote; write a quote inside a quoted cell as two quotes")
    return _error(line, place, "the double quote at the start of the cell is not closed")


def _error(line: int, place: str, problem: str) -> errors.InvalidCsvError:
    return errors.InvalidCsvError(problem=f"line {line}, {place}: {problem}")


def _quoted(name: str) -> str:
    return f'"{truncation.truncate(name, 100)}"'
