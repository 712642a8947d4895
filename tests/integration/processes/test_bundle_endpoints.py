"""With the data in the bundle, botocore finds the same endpoints as with its complete data, in every region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from botocore.session import Session

from tests import bundle_files
from tools.bundle import aws_operations, botocore_data


@pytest.fixture(scope="module")
def cut() -> dict[str, bytes]:
    return botocore_data.cut(bundle_files.aws_models(), aws_operations.find(bundle_files.own_sources()))


@pytest.fixture(scope="module")
def session_of_bundle(cut: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Return a session that has only the bundle's data."""
    folder = tmp_path_factory.mktemp("bundle")
    for path, content in cut.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    session = Session()
    session.register_component("data_loader", OnlyIn(folder / botocore_data.ROOT))
    return session


class OnlyIn(Loader):
    """A botocore loader that reads data from ``folder`` only."""

    def __init__(self, folder: Path) -> None:
        self.BUILTIN_DATA_PATH = str(folder)
        super().__init__([str(folder)], include_default_search_paths=False)


def regions() -> Iterator[tuple[str, str]]:
    """Yield every partition and region, and one region that does not exist yet."""
    for partition in json.loads(bundle_files.aws_models()[f"{botocore_data.ROOT}endpoints.json"])["partitions"]:
        for region in partition["regions"]:
            yield partition["partition"], region
    yield "aws", "eu-north-9"


KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
S3 = Config(signature_version="s3v4")
KINDS = {"plain": Config(), "fips": Config(use_fips_endpoint=True), "dualstack": Config(use_dualstack_endpoint=True)}


@pytest.fixture(scope="module")
def stock() -> Session:
    return Session()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("partition", "region"), list(regions()))
def test_endpoints_are_those_of_stock_data(
    session_of_bundle: Session, stock: Session, partition: str, region: str, kind: str
) -> None:
    assert addresses(session_of_bundle, region, KINDS[kind]) == addresses(stock, region, KINDS[kind])
    assert (
        session_of_bundle.create_client("s3", region, aws_access_key_id="a", aws_secret_access_key="b").meta.partition
        == partition
    )


def addresses(session: Session, region: str, config: Config) -> list[Any]:
    """Return the endpoints and partitions of all services in a region, or botocore's errors."""
    config = config.merge(Config(signature_version="v4"))
    found: list[Any] = []
    for service in aws_operations.SERVICES:
        try:
            client = session.create_client(service, region, config=config, **KEYS)
            found += [client.meta.endpoint_url, client.meta.partition]
            if service == "s3":
                signed = session.create_client("s3", region, config=config.merge(S3), **KEYS)
                found.append(signed.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}).partition("?")[0])
                found.append(signed.generate_presigned_post("b", "k")["url"])
        except BotoCoreError as error:
            found.append(str(error))
    return found
