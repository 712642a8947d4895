"""ZIP archives that are written piece by piece are read by another implementation."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.values import zip_archives

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/\\:"), min_size=1, max_size=40)
TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2107, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - a limit


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5), TIMES)
def test_archive_is_read_as_it_was_written(files: dict[str, bytes], modified_at: datetime) -> None:
    archive, directory = b"", b""
    for name, data in files.items():
        entry = zip_archives.entry(name, data, modified_at, len(archive))
        archive += entry.header + data
        directory += entry.directory_entry
    archive += zip_archives.end(directory, len(files), len(archive))

    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == files
        for info in opened.infolist():
            assert info.date_time == (*modified_at.timetuple()[:5], modified_at.second // 2 * 2)
            assert (info.external_attr >> 16, info.compress_type) == (0o100644, zipfile.ZIP_STORED)
