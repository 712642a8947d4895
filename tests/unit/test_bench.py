"""What `make bench` makes of what it measured: ratios, dollars, and the tables that it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import app
from bench import cold, cost, environment, events, run, scaled, stand_in, tables, warm
from bench.cold import Case, Start
from bench.cost import Limit, Spent, Thing

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


def limits_of_the_template() -> list[Limit]:
    """What each method of the packaged API lets through without a token."""
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
            if path.startswith(("/items", "/imports")):
                found.append(Limit("guarded", rate))
            elif method == "HEAD":
                found.append(Limit("public", rate))
            else:
                body = document if path == "/openapi.json" else longest_file
                found.append(Limit("public", rate, 0 if method == "HEAD" else body))
    return found


class TestCost:
    def test_a_million_runs_of_100_ms_with_256_mb_do_not_cost_2_50(self) -> None:
        # 0.25 GB × 0.1 s × 1,000,000 × $0.0000166667 + 1,000,000 × $0.0000002
        assert cost.claim() == {"said": 2.50, "reckoned": 0.62}

    def test_arm_takes_a_fifth_less_for_the_time_and_the_same_for_the_request(self) -> None:
        request = cost.PRICES["lambda"]["request"]
        x86 = cost.lambda_dollars(100, 1024, "x86_64") - request
        arm = cost.lambda_dollars(100, 1024, "arm64") - request

        assert arm / x86 == pytest.approx(0.8, abs=1e-4)

    def test_a_millisecond_that_began_is_paid_for_whole(self) -> None:
        assert cost.lambda_dollars(1.01, 128) == cost.lambda_dollars(2, 128)
        assert cost.lambda_dollars(2.01, 128) > cost.lambda_dollars(2, 128)

    def test_half_the_memory_makes_work_twice_as_long_and_waiting_no_longer(self) -> None:
        assert cost.duration_ms(10, 0, 884) == pytest.approx(2 * cost.duration_ms(10, 0, 1769), rel=0.001)
        assert cost.duration_ms(0, 10, 128) == 10

    def test_more_than_a_whole_core_makes_nothing_quicker(self) -> None:
        assert environment.share(1769) == 1
        assert environment.share(3008) == 1
        assert environment.share(512) == pytest.approx(0.289, abs=0.001)

    def test_a_run_waits_for_its_calls_one_after_the_other(self) -> None:
        waits = cost.CALL_MS
        calls = {"dynamodb GetItem": 2.0, "s3 PutObject": 1.0, "sqs SendMessageBatch": 1.0}

        assert cost.wait_ms(calls) == 2 * waits["dynamodb"] + waits["s3"] + waits["sqs"]

    def test_the_cheapest_size_is_the_least_that_the_memory_fits_into_with_some_to_spare(self) -> None:
        assert cost.cheapest([spent(calls={"dynamodb GetItem": 1}, peak_mb=60)]) == 128
        assert cost.cheapest([spent(calls={"dynamodb GetItem": 1}, peak_mb=110)]) == 192

    def test_what_takes_most_memory_decides_for_all_that_a_function_runs(self) -> None:
        runs = [spent(peak_mb=60, calls={"s3 GetObject": 1})]

        assert cost.cheapest(runs, largest=[spent(peak_mb=700)]) == 1024

    def test_a_function_that_has_to_wake_in_time_is_given_a_larger_share(self) -> None:
        # 120 ms of work until the first answer: a second is enough with an eighth of a core, 0.12 × 1769 = 212 MB.
        waiting = spent(calls={"dynamodb GetItem": 1})

        assert cost.cheapest([waiting], awaited=[waiting], awake_within_ms=1000) == 256
        assert cost.cheapest([waiting], awaited=[waiting], awake_within_ms=100) is None

    def test_the_slowest_answer_that_somebody_waits_for_decides(self) -> None:
        quick, slow = spent(calls={"dynamodb GetItem": 1}), spent(calls={"dynamodb GetItem": 1}, first_cpu_ms=240)

        assert cost.cheapest([quick, slow], awaited=[quick, slow], awake_within_ms=1000) == 512
        assert cost.cheapest([quick, slow], awaited=[quick], awake_within_ms=1000) == 256

    def test_a_function_that_fits_into_no_size_is_said(self) -> None:
        assert cost.cheapest([spent(peak_mb=100_000)]) is None

    def test_what_lambda_gives_for_nothing_ends_with_the_requests_or_with_the_gb_seconds(self) -> None:
        assert cost.free_runs(spent(cpu_ms=1), 128) == 1_000_000
        assert cost.free_runs(spent(cpu_ms=1000), 1769) == int(400_000 / (1769 / 1024))

    def test_services_are_paid_by_what_a_run_asks_of_them(self) -> None:
        paid = cost.services_dollars(spent(calls={"s3 GetObject": 1, "s3 PutObject": 2, "sqs SendMessageBatch": 1}))

        per_million = {service: round(dollars * 1e6, 4) for service, dollars in paid.items()}
        assert per_million == {"dynamodb": 0.125 + 2 * 0.625, "s3": 0.4 + 10, "sqs": 0.4, "logs": 0.5}

    def test_what_is_done_for_many_at_once_is_shared_by_them(self) -> None:
        taken = {event.name: spent() for event in events.PAID}
        alone = Thing("an import", (events.START_IMPORT, events.CREATE_CHUNK), requests=1, messages=1)
        sizes = {"api_handler": 512, "on_messages": 1769}

        whole, each = (cost.thing_dollars(one, taken, sizes) for one in (alone, alone._replace(of=100)))

        assert each == pytest.approx({service: dollars / 100 for service, dollars in whole.items()})
        assert whole["api_gateway"] == 0.0000035
        assert whole["sqs"] == pytest.approx(2 * 0.0000004)

    def test_security_page_names_what_a_stranger_can_make_the_owner_pay(self) -> None:
        hour = sum(cost.strangers_hour(limits_of_the_template(), cost.configured()).values())

        security = " ".join((PROJECT / "SECURITY.md").read_text(encoding="utf-8").split())
        named = re.search(r"up to \$(\d+) an hour, \$(\d+) a day", security)
        assert named
        assert int(named[1]) / 2 < hour <= int(named[1])
        assert int(named[2]) == 24 * int(named[1])

    def test_stranger_costs_requests_that_are_let_through_and_functions_that_run(self) -> None:
        sizes = {"api_handler": 512, "authorize": 256}
        an_hour = {reach: cost.strangers_hour([cost.Limit(reach, 1)], sizes) for reach in get_args(cost.Reach)}

        assert an_hour["preflight"].keys() == {"api_gateway", "traffic", "xray"}
        assert an_hour["preflight"]["api_gateway"] == pytest.approx(3600 * 0.0000035)
        assert "api_gateway" not in an_hour["guarded"]
        assert an_hour["guarded"]["lambda"] == pytest.approx(3600 * cost.lambda_dollars(cost.STRANGERS_RUN_MS, 256))
        assert an_hour["public"]["lambda"] == pytest.approx(3600 * cost.lambda_dollars(cost.STRANGERS_RUN_MS, 512))

    def test_every_price_says_where_it_is_from(self) -> None:
        listed = [prices for prices in cost.PRICES.values() if isinstance(prices, dict)]
        assert listed
        assert all(prices["source"].startswith("https://aws.amazon.com/") for prices in listed)

    def test_a_report_can_be_made_of_what_was_measured(self) -> None:
        taken = {event.name: spent() for event in (*events.PAID, *events.LARGEST)}
        printed: list[str] = []

        cost.report_on(json.loads(json.dumps(cost.results(taken, "bundle"))), printed.append)

        text = "\n".join(printed)
        assert all(event.name in text for event in events.PAID)
        assert "$0.62, not $2.50" in text


class TestColdStarts:
    def test_what_slows_a_whole_turn_does_not_change_the_ratio(self) -> None:
        starts = {
            API: [Start(50, 100, 90), Start(500, 1000, 900), Start(55, 110, 90)],
            API._replace(variant="stock"): [Start(200, 400, 90), Start(2000, 4000, 900), Start(220, 440, 90)],
        }

        assert cold.ratio(starts, API, "stock") == 0.25
        assert cold.ratio(starts, API, "node") is None

    def test_medians_and_quartiles_are_told(self) -> None:
        assert cold.said([Start(number, 10 * number, 9 * number) for number in (5, 1, 3, 2, 4)]) == {
            "init_ms": 3,
            "answered_ms": 30,
            "from_ms": 20,
            "to_ms": 40,
            "cpu_ms": 27,
        }

    def test_a_table_has_a_dash_where_there_is_no_node(self) -> None:
        last = cold.table(cold.results({API: [Start(100, 123.4, 110)] * 3})).splitlines()[-1]

        assert last.split() == ["api_handler", "bundle,", "1", "core", "100", "123", "123", "123", "110", "–", "–"]


class TestOverhead:
    def test_each_is_compared_with_fastapi_as_it_is_or_observed_too(self) -> None:
        turns = [{name: float(number) for number, name in enumerate(warm.CONTENDERS, 1)} for _ in range(3)]
        turns[0] |= {warm.OURS: 100.0, warm.FASTAPI: 200.0}
        turns[1] |= {warm.OURS: 10.0, warm.FASTAPI: 20.0}

        found = warm.results(turns[:2])

        assert found[warm.OURS]["of_fastapi"] == 0.5
        assert found[warm.FASTAPI + warm.OBSERVED]["of_fastapi"] == 1
        assert found[warm.BARE]["of_bare"] == 1
        assert len(warm.table(found).splitlines()) == 2 + len(warm.CONTENDERS)


class TestCapacity:
    def test_reading_takes_a_unit_for_4_kb_and_half_of_it_where_it_may_be_late(self) -> None:
        record = {"pk": {"S": "x" * 5000}}

        assert stand_in.read_units([record], consistent=True) == 2
        assert stand_in.read_units([record], consistent=False) == 1
        assert stand_in.read_units([], consistent=False) == 0.5

    def test_writing_takes_a_unit_for_1_kb_and_as_much_again_in_the_index(self) -> None:
        record: dict[str, Any] = {"pk": {"S": "x" * 1500}, "fields": {"M": {"a": {"L": [{"N": "1"}, {"NULL": True}]}}}}

        assert stand_in.write_units(record) == 2
        assert stand_in.write_units(record | {"dueShard": {"S": "1"}}) == 4

    def test_medians_are_told_of_each_thing_that_was_measured(self) -> None:
        turns = [{"page": (2.0, 10.0)}, {"page": (2.0, 90.0)}, {"page": (2.0, 20.0)}, {"due_10": (31.0, 100.0)}]

        assert scaled.said(turns) == {"page_units": 2, "page_ms": 20, "due_10_units": 31, "due_10_ms": 100}


class TestTables:
    def test_figures_stand_under_their_headings(self) -> None:
        lines = tables.table("what", {"a": "A", "b": "B"}, [("one", {"a": 1.234, "b": None})]).splitlines()

        assert lines[1].split() == ["what", "A", "B"]
        assert lines[2].split() == ["one", "1.23", "–"]
        assert len(lines[1]) == len(lines[2])

    @pytest.mark.parametrize(
        ("figure", "shown"), [(1234.5, "1234"), (12.34, "12.3"), (0.0, "0.00"), (0.01234, "0.0123"), (7, "7")]
    )
    def test_a_figure_has_three_digits_that_count(self, figure: float, shown: str) -> None:
        assert tables.cell(figure) == shown


class TestOptions:
    def test_all_parts_are_measured_or_those_that_are_named(self) -> None:
        assert run.wanted("") == run.PARTS
        assert run.wanted("cost, cold") == ("cold", "cost")

    def test_a_part_that_is_none_is_said(self) -> None:
        with pytest.raises(ValueError, match="there is no warmth"):
            run.wanted("cold,warmth")


class TestEvents:
    def test_are_for_functions_that_there_are(self) -> None:
        assert {event.function for event in (*events.FIRST, *events.PAID, *events.LARGEST)} <= cost.configured().keys()

    def test_every_kind_of_function_is_started(self) -> None:
        assert {event.function for event in events.FIRST} == {"api_handler", "on_upload", "on_messages", "clean_up"}

    def test_what_is_measured_in_beside_ours_is_pinned(self) -> None:
        lines = (PROJECT / "requirements-bench.txt").read_text(encoding="utf-8").splitlines()
        assert all("==" in line for line in lines if line and not line.startswith("#"))
        package = json.loads((PROJECT / "bench" / "node" / "package.json").read_text(encoding="utf-8"))
        assert all(version[0].isdigit() for version in package["dependencies"].values())
