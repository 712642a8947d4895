"""Save the records of DynamoDB streams that functions have not processed.

ministack 1.5.33 saves how many records of a stream a function has processed, but not the records. After a start it
counts new records from zero, and so skips as many of them.
"""

from __future__ import annotations

from typing import Any

from ministack.services import dynamodb, lambda_svc

from tools.laptop.emulator_wrapper import ministack_code_check

_KNOWN = {
    "ministack.services.dynamodb:_trim_stream_records": "43f62f181df024ec",
    "ministack.services.dynamodb:get_state": "ce90690a6033950f",
    "ministack.services.dynamodb:load_persisted_state": "6f58d9dc1e6e4edf",
    "ministack.services.dynamodb:stream_records_since": "aed31a353fda9770",
    "ministack.services.lambda_svc:_restore_esm_positions": "13262db1ad7997de",
}
"""The digests of the functions that are replaced or used here."""

_RECORDS = "unprocessed_stream_records"
_COUNTS = "stream_record_counts"


def install() -> None:
    """Change ministack in this process. Raise ChangedCodeError if its code is not the known one."""
    ministack_code_check.check_known_functions(_KNOWN)
    get_state, load = dynamodb.get_state, dynamodb.load_persisted_state

    def get_state_with_streams() -> dict[str, Any]:
        return {**get_state(), **_unprocessed()}

    def load_with_streams(data: dict[str, Any]) -> None:
        load(data)
        dynamodb._stream_records.update(data.get(_RECORDS, {}))
        dynamodb._stream_trimmed.update(data.get(_COUNTS, {}))

    dynamodb.get_state = get_state_with_streams
    dynamodb.load_persisted_state = load_with_streams


def _unprocessed() -> dict[str, Any]:
    """Return the records that a function has yet to process, and how many of each stream came before them."""
    records, counts = dynamodb.AccountRegionScopedDict(), dynamodb.AccountRegionScopedDict()
    for (account, region, table), streamed in list(dynamodb._stream_records.all_items()):
        trimmed = dynamodb._stream_trimmed.get_scoped(account, region, table, 0)
        positions = [
            lambda_svc._dynamodb_stream_positions.get_scoped(account, region, id_, trimmed)
            for (of, place, id_), mapping in list(lambda_svc._esms.all_items())
            if (of, place) == (account, region) and f":table/{table}/stream/" in mapping.get("EventSourceArn", "")
        ]
        first = max(trimmed, min(positions, default=trimmed + len(streamed)))
        records.set_scoped(account, region, table, streamed[first - trimmed :])
        counts.set_scoped(account, region, table, first)
    return {_RECORDS: records, _COUNTS: counts}
