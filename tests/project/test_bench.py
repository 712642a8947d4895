"""The evaluation of `make bench`: ratios, costs and tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest

import app
from bench import (
    cold_starts,
    cost,
    find_scale,
    find_scale_worker,
    measured_table,
    picture_urls,
    request_overhead,
    sample_events,
    tracing_overhead,
    visits,
)
from bench.cold_starts import Case, Start
from bench.cost import Activity, Limit, Spent
from chalicelib.catalogue import search, validation
from chalicelib.values import ids, times
from tests import fake_aws
from tests.integration import routes

PROJECT = Path(__file__).resolve().parents[2]
API = Case("bundle", "api_handler", 1769)


def spent(
    cpu_ms: float = 10.0, peak_mb: float = 60, calls: dict[str, float] | None = None, first_cpu_ms: float = 120
) -> Spent:
    return Spent(
        cpu_ms=cpu_ms,
        calls=calls or {},
        read_units=1,
        write_units=2,
        log_bytes=1000,
        peak_mb=peak_mb,
        init_cpu_ms=100,
        first_cpu_ms=first_cpu_ms,
    )


INDEX_RECORD_BYTES = 100
"""Of an average index record."""


def limits_of_the_template() -> list[Limit]:
    """The requests that each method of the packaged API accepts without a token."""
    api = json.loads((PROJECT / "infra" / "package.json").read_text(encoding="utf-8"))["Resources"]["RestAPI"]
    settings = api["Properties"]["MethodSettings"]
    rates = {(one["HttpMethod"], one["ResourcePath"]): one["ThrottlingRateLimit"] for one in settings}
    longest_file = max(path.stat().st_size for path in (PROJECT / "chalicelib" / "web").iterdir())
    document = len(msgspec.json.format((PROJECT / "chalicelib" / "openapi.json").read_bytes(), indent=-1))
    found = []
    for path, methods in app.app.routes.items():
        named = "/" if path == "/" else f"/{path.replace('/', '~1')}"
        found.append(Limit("preflight", rates.get(("OPTIONS", named), rates["*", "/*"])))
        for method in methods:
            rate = rates.get((method, named), rates["*", "/*"])
            if path not in routes.PUBLIC:
                found.append(Limit("with token", rate))
            else:
                body, units = document if path == "/openapi.json" else longest_file, 0.0
                if path in ("/catalogues/{catalogue_id}/items", "/c/{catalogue_id}"):
                    body = search.MAX_PUBLIC_BYTES
                    # What is read at once may begin just below the limit.
                    read = body + search.PUBLIC_AT_ONCE * validation.MAX_ITEM_BYTES
                    units = (read + search.MAX_RECORDS * INDEX_RECORD_BYTES) / 4096
                elif path == "/catalogues/{catalogue_id}":
                    body, units = 10_000, 10_000 / 4096
                elif path.startswith(("/catalogues/", "/c/", "/shares/", "/s/")):
                    body, units = validation.MAX_ITEM_BYTES, validation.MAX_ITEM_BYTES / 4096
                found.append(Limit("public", rate, 0 if method == "HEAD" else body, units))
    return found


class TestCost:
    def test_often_copied_claim_is_wrong(self) -> None:
        # 0.25 GB × 0.1 s × 1,000,000 × $0.0000166667 + 1,000,000 × $0.0000002
        assert cost.check_popular_claim() == {"claimed": 2.50, "calculated": 0.62}

    def test_milliseconds_are_rounded_up(self) -> None:
        assert cost.lambda_dollars(1.01, 128) == cost.lambda_dollars(2, 128)
        assert cost.lambda_dollars(2.01, 128) > cost.lambda_dollars(2, 128)

    def test_half_the_memory_doubles_processing_only(self) -> None:
        assert cost.duration_ms(10, 0, 884) == pytest.approx(2 * cost.duration_ms(10, 0, 1769), rel=0.001)
        assert cost.duration_ms(0, 10, 128) == 10

    def test_cheapest_size_has_a_reserve(self) -> None:
        assert cost.cheapest([spent(calls={"dynamodb GetItem": 1}, peak_mb=60)]) == 128
        assert cost.cheapest([spent(calls={"dynamodb GetItem": 1}, peak_mb=110)]) == 192

    def test_largest_run_decides_memory(self) -> None:
        runs = [spent(peak_mb=60, calls={"s3 GetObject": 1})]

        assert cost.cheapest(runs, largest=[spent(peak_mb=700)]) == 1024

    def test_cold_limit_needs_a_larger_share(self) -> None:
        # 120 ms until the first answer need an eighth of a core to end within a second: 0.12 × 1769 = 212 MB.
        waiting = spent(calls={"dynamodb GetItem": 1})

        assert cost.cheapest([waiting], awaited=[waiting], cold_limit_ms=1000) == 256
        assert cost.cheapest([waiting], awaited=[waiting], cold_limit_ms=100) is None

    def test_free_runs_are_limited_by_requests_or_gb_seconds(self) -> None:
        assert cost.free_runs(spent(cpu_ms=1), 128) == 1_000_000
        assert cost.free_runs(spent(cpu_ms=1000), 1769) == int(400_000 / (1769 / 1024))

    def test_service_costs_follow_calls(self) -> None:
        paid = cost.services_dollars(spent(calls={"s3 GetObject": 1, "s3 PutObject": 2, "sqs SendMessageBatch": 1}))

        per_million = {service: round(dollars * 1e6, 4) for service, dollars in paid.items()}
        assert per_million == {"dynamodb": 0.125 + 2 * 0.625, "s3": 0.4 + 10, "sqs": 0.4, "logs": 0.5}

    def test_shared_costs_are_divided(self) -> None:
        taken = {event.name: spent() for event in sample_events.PAID}
        alone = Activity("an import", (sample_events.START_IMPORT, sample_events.CREATE_CHUNK), requests=1, messages=1)
        sizes = {"api_handler": 512, "on_messages": 1769}

        whole, each = (cost.activity_dollars(one, taken, sizes) for one in (alone, alone._replace(of=100)))

        assert each == pytest.approx({service: dollars / 100 for service, dollars in whole.items()})
        assert whole["api_gateway"] == 0.0000035
        assert whole["sqs"] == pytest.approx(2 * 0.0000004)

    def test_http_api_costs_less_for_each_request(self) -> None:
        taken = {event.name: spent() for event in sample_events.PAID}
        reading, sizes = cost.ACTIVITIES[0], {"api_handler": 512}

        rest, http = (cost.activity_dollars(reading, taken, sizes, front) for front in get_args(cost.Front))

        assert http == rest | {"api_gateway": 0.000001}
        assert sum(rest.values()) - sum(http.values()) == pytest.approx(0.0000025)

    def test_benchmarks_page_has_the_cost_of_faster_starts(self) -> None:
        paid = cost.fast_starts(cost.configured_memory()["api_handler"])

        page = " ".join((PROJECT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split())
        row = re.search(r"\| SnapStart \| \$([\d.]+) \| \$([\d.]+) \|", page)
        assert row
        assert (float(row[1]), float(row[2])) == (round(paid.snapshot_month, 2), round(1000 * paid.restore, 3))
        row = re.search(r"\| provisioned concurrency, one \| \$([\d.]+) \|", page)
        assert row
        assert float(row[1]) == round(paid.provisioned_month, 2)
        equal = re.search(r"from ([\d,]+) starts a month on", page)
        assert equal
        assert int(equal[1].replace(",", "")) == round(paid.break_even_restores, -3)
        assert f"more than {paid.break_even_use:.0%} of the time".replace("%", " %") in page

    def test_security_page_has_the_cost_of_requests_without_token(self) -> None:
        hour = sum(cost.hour_cost_without_token(limits_of_the_template(), cost.configured_memory()).values())

        security = " ".join((PROJECT / "SECURITY.md").read_text(encoding="utf-8").split())
        named = re.search(r"up to \$(\d+) an hour, \$(\d+) a day", security)
        assert named
        assert int(named[1]) / 2 < hour <= int(named[1])
        assert int(named[2]) == 24 * int(named[1])

    def test_cost_of_requests_without_token_by_access(self) -> None:
        sizes = {"api_handler": 512, "authorize": 256}
        an_hour = {
            access: cost.hour_cost_without_token([cost.Limit(access, 1)], sizes) for access in get_args(cost.Access)
        }

        assert an_hour["preflight"].keys() == {"api_gateway", "traffic", "xray"}
        assert an_hour["preflight"]["api_gateway"] == pytest.approx(3600 * 0.0000035)
        assert "api_gateway" not in an_hour["with token"]
        assert an_hour["with token"]["lambda"] == pytest.approx(3600 * cost.lambda_dollars(cost.TOKENLESS_RUN_MS, 256))
        assert an_hour["public"]["lambda"] == pytest.approx(3600 * cost.lambda_dollars(cost.TOKENLESS_RUN_MS, 512))


class TestVisits:
    TAKEN: ClassVar = {event.name: spent(calls={"dynamodb Query": 1}) for event in (visits.VISIT, visits.VISITOR_FILE)}

    def test_caches_save_what_the_origins_cost(self) -> None:
        parts = visits.first_visit(4000)

        without, missed, half, hit = (visits.dollars(parts, self.TAKEN, 512, ratio) for ratio in (None, 0.0, 0.5, 1.0))

        assert without.keys() - missed.keys() == {"traffic"}
        for service in without.keys() - {"traffic"}:
            assert missed[service] == without[service] == pytest.approx(2 * half[service])
        assert hit == {"cloudfront": missed["cloudfront"]}

    def test_first_visit_loads_the_page_its_files_and_thumbnails(self) -> None:
        page, files, thumbnails = visits.first_visit(4000)

        paid = visits.dollars([page, files, thumbnails], self.TAKEN, 512, 1.0)

        loaded = page.bytes + files.number * files.bytes + 24 * thumbnails.bytes
        assert (page.number, page.bytes, files.number, thumbnails.number) == (1, 5000, 3, 24)
        assert paid["cloudfront"] == pytest.approx(28 * 0.000001 + loaded / 1e9 * 0.085)

    def test_later_visit_loads_thumbnails_only_without_cloudfront(self) -> None:
        without, with_ = (visits.later_visit(4000, cloudfront=one) for one in (False, True))

        assert [part.number for part in without] == [1, 24]
        assert [part.number for part in with_] == [1]


class TestTraces:
    def test_medians_of_all_calls_are_compared(self) -> None:
        blocks = [
            {tracing_overhead.UNTRACED: [500.0, 9000.0], tracing_overhead.SAMPLED: [530.0, 530.0]},
            {tracing_overhead.UNTRACED: [500.0], tracing_overhead.SAMPLED: [9000.0]},
        ]

        found = tracing_overhead.results(blocks)

        assert found[tracing_overhead.SAMPLED] == {"call_us": 530, "more_us": 30}


class TestFind:
    def test_query_has_one_row_for_all_sizes(self) -> None:
        one = {"query": "price", "units": 27.0, "ms": 20.5, "found": 25, "more": True}
        found = [one | {"items": 1000}, one | {"items": 100_000, "units": 28.0, "found": 3, "more": False}]

        row = find_scale.query_table(found).splitlines()[-1]

        assert row.split() == ["price", "27.0", "28.0", "20.5", "20.5", "25+", "3"]

    def test_items_have_the_records_that_are_measured(self) -> None:
        made = measured_table.records(ids.new_id(), find_scale_worker.fields(7), times.now())

        kinds = Counter(record["sk"]["S"].partition("#")[0] for record in made)
        assert kinds == {"ITEM": 1, "FIND": 5, "WORD": 5}


class TestColdStarts:
    def test_ratio_compares_within_turns(self) -> None:
        starts = {
            API: [Start(50, 90, 100), Start(500, 900, 1000), Start(55, 90, 110)],
            API._replace(variant="stock"): [Start(200, 90, 400), Start(2000, 900, 4000), Start(220, 90, 440)],
        }

        assert cold_starts.ratio(starts, API, "stock") == 0.25
        assert cold_starts.ratio(starts, API, "node") is None


class TestOverhead:
    def test_handlers_with_logs_are_compared_with_each_other(self) -> None:
        turns = [{name: float(number) for number, name in enumerate(request_overhead.HANDLERS, 1)} for _ in range(3)]
        turns[0] |= {request_overhead.THIS_APP: 100.0, request_overhead.FASTAPI: 200.0}
        turns[1] |= {request_overhead.THIS_APP: 10.0, request_overhead.FASTAPI: 20.0}

        found = request_overhead.results(turns[:2])

        assert found[request_overhead.THIS_APP]["of_fastapi"] == 0.5
        assert found[request_overhead.FASTAPI + request_overhead.WITH_LOGS]["of_fastapi"] == 1
        assert found[request_overhead.BARE]["of_bare"] == 1
        assert len(request_overhead.table(found).splitlines()) == 2 + len(request_overhead.HANDLERS)


class TestPictureUrls:
    def test_ratio_is_that_within_each_turn(self) -> None:
        turns = [{picture_urls.VITRINE: (one, 2.0), picture_urls.CLIENT: (10 * one, 3.0)} for one in (0.5, 1.0, 4.0)]

        found = picture_urls.results(turns, 155_000)

        assert found[picture_urls.CLIENT] == {"urls_ms": 10, "page_ms": 3, "of_vitrine": 10, "page_kb": 155}


class TestCapacity:
    def test_read_units_per_4_kb(self) -> None:
        record = {"pk": {"S": "x" * 5000}}

        assert fake_aws.read_units([record], consistent=True) == 2
        assert fake_aws.read_units([record], consistent=False) == 1
        assert fake_aws.read_units([], consistent=False) == 0.5

    def test_write_units_per_kb(self) -> None:
        record: dict[str, Any] = {"pk": {"S": "x" * 1500}, "fields": {"M": {"a": {"L": [{"N": "1"}, {"NULL": True}]}}}}

        assert fake_aws.write_units(record) == 2

    def test_write_units_of_the_index(self) -> None:
        due = {"pk": {"S": "p"}, "dueShard": {"S": "1"}, "dueAt": {"S": "2026"}}

        assert fake_aws.write_units(due) == 2
        assert fake_aws.write_units({"pk": {"S": "p"}}, due) == 2
        assert fake_aws.write_units(due | {"dueAt": {"S": "2027"}}, due) == 3
        assert fake_aws.write_units(due, due) == 1
