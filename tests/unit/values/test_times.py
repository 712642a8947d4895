from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.values import times

# Hypothesis takes bounds without a time zone and adds the zone itself.
EARLIEST, LATEST = datetime.min + timedelta(days=1), datetime.max - timedelta(days=2)  # noqa: DTZ901
AFTER_LATEST = (LATEST + timedelta(days=1)).replace(tzinfo=UTC)


@given(st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)), st.integers(0, 10**9))
def test_text_order_is_time_order(at: datetime, later_us: int) -> None:
    later = min(at + timedelta(microseconds=later_us), AFTER_LATEST)

    assert times.format_time(at) <= times.format_time(later)
    assert len(times.format_time(at)) == 24


@given(st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)))
def test_formatted_time_is_parsed_unchanged(at: datetime) -> None:
    assert times.format_time(times.parse_time(times.format_time(at))) == times.format_time(at)
