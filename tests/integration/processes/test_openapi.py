"""``python -m tools.openapi``, and the OpenAPI document of an app whose adopter declared fields."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.integration.processes.test_item_fields import CLOSED, NAMESAKES, ON_SALE, copy_app, run_edited
from tests.unit.test_openapi import misfits_of_examples
from tools.openapi.__main__ import STALE

PROJECT = Path(__file__).parents[3]
FILE = Path("chalicelib") / "openapi.json"


def make_openapi(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.openapi", *options],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCommand:
    def test_writes_the_file_only_if_it_differs(self, tmp_path: Path) -> None:
        copy_app(tmp_path)
        file = tmp_path / FILE
        before = file.read_bytes()
        file.write_text("{}")

        first, second = make_openapi(tmp_path), make_openapi(tmp_path)

        assert (first.returncode, first.stdout) == (0, "Wrote chalicelib/openapi.json: commit it with your change.\n")
        assert (second.returncode, second.stdout) == (0, "")
        assert file.read_bytes() == before

    def test_check_fails_with_a_sentence_if_the_file_is_stale(self, tmp_path: Path) -> None:
        copy_app(tmp_path)
        (tmp_path / FILE).unlink()

        done = make_openapi(tmp_path, "--check")

        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{STALE}\n")
        assert not (tmp_path / FILE).exists()

    @pytest.mark.parametrize("target", ["deploy", "package"])
    def test_runs_before_the_app_is_packaged(self, target: str) -> None:
        done = subprocess.run(
            ["make", "-n", target, "STAGE=prod"], cwd=PROJECT, capture_output=True, text=True, check=True
        )

        assert 0 < done.stdout.find("-m tools.openapi") < done.stdout.find("-m tools.bundle")

    def test_file_is_the_same_in_every_environment(self) -> None:
        settings = {
            "STAGE": "prod",
            "OIDC_ISSUER": "https://id.example",
            "OIDC_AUDIENCE": "shop",
            "THUMBNAIL_SIZES": "cover:50",
            "CORS_ORIGINS": "https://shop.example",
        }

        assert make_openapi(PROJECT, "--check", **settings).returncode == 0


@pytest.fixture(scope="module", params=[ON_SALE, CLOSED, NAMESAKES], ids=["on-sale", "closed", "namesakes"])
def adopted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the document of an app with declared fields."""
    done = run_edited(tmp_path_factory.mktemp("adopted"), request.param, [])
    document: dict[str, Any] = json.loads(done.stdout)["document"]
    return document


class TestDeclaredFields:
    def test_document_and_examples_are_valid(self, adopted: dict[str, Any]) -> None:
        assert [str(error) for error in OpenAPIV31SpecValidator(adopted).iter_errors()] == []
        assert misfits_of_examples(adopted) == {}

    def test_are_in_requests_and_responses(self, adopted: dict[str, Any]) -> None:
        sent, item = (adopted["components"]["schemas"][name] for name in ("ItemFields", "Item"))

        assert sent["required"]
        assert set(sent["required"]) <= set(item["required"])
        assert sent["properties"].keys() <= item["properties"].keys()
        assert sent["additionalProperties"] == item["additionalProperties"]

    def test_have_no_default_in_responses(self, adopted: dict[str, Any]) -> None:
        # An item may be older than the default.
        fields = adopted["components"]["schemas"]["Item"]["properties"].values()

        assert not any("default" in schema for schema in fields)

    def test_titles_are_unique(self, adopted: dict[str, Any]) -> None:
        titles = [schema["title"] for schema in adopted["components"]["schemas"].values()]

        assert len(set(titles)) == len(titles)

    def test_are_in_the_examples(self, adopted: dict[str, Any]) -> None:
        examples = adopted["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]["examples"]

        assert examples
        for example in examples.values():
            assert set(adopted["components"]["schemas"]["ItemFields"]["required"]) <= example["value"].keys()


def test_item_that_cannot_be_made_up_has_no_example(tmp_path: Path) -> None:
    edit = '''
class ItemFields(msgspec.Struct):
    """A book."""

    isbn: Annotated[str, msgspec.Meta(pattern="^97[89][0-9]{10}$")]
'''
    document = json.loads(run_edited(tmp_path, edit, []).stdout)["document"]

    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["paths"]["/items"]["post"]["requestBody"]["content"]["application/json"]["examples"] == {}
    assert document["paths"]["/hello"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]


PRICES = """
from chalicelib.catalogue.field_annotations import DecimalOrText


class ItemFields(msgspec.Struct):
    price: Decimal | None = Decimal("9.90")
    count: Decimal = Decimal(12)
    steps: tuple[Decimal, Decimal] = (Decimal(1), Decimal(2))
    weight: DecimalOrText | None = None
"""


def test_decimal_is_a_number_unless_text_is_declared(tmp_path: Path) -> None:
    document = json.loads(run_edited(tmp_path, PRICES, []).stdout)["document"]
    declared = document["components"]["schemas"]["ItemFields"]["properties"]

    assert declared["price"] == {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 9.9}
    assert declared["count"] == {"type": "number", "default": 12}
    assert "default" not in declared["steps"]
    text = {"type": ["number", "string"], "format": "decimal"}
    assert declared["weight"] == {"anyOf": [text, {"type": "null"}], "default": None}
