"""The bundle: what stays, what goes, and that a call it would not know of cannot be written."""

from __future__ import annotations

import gzip
import importlib.util
import json
import marshal
import ssl
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from botocore.session import Session
from cryptography import x509

from tools.bundle import archive, authorities, aws_data, calls, contents, package
from tools.bundle.calls import Call

PROJECT = Path(__file__).parents[2]
SOURCES = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
    for path in [PROJECT / "app.py", *(PROJECT / "chalicelib").rglob("*.py")]
}


def stock_data() -> dict[str, bytes]:
    """botocore's own data, of the services in use, as its wheel has it."""
    root = Path(botocore.__file__).parents[1]
    folders = [root / aws_data.ROOT / service for service in calls.SERVICES]
    paths = [*(root / aws_data.ROOT).glob("*.json"), *(path for folder in folders for path in folder.rglob("*.*"))]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


class TestCallsInUse:
    def test_are_found_in_the_code(self) -> None:
        found = calls.found(SOURCES)

        assert {call.service for call in found} == set(calls.SERVICES)
        assert {Call("dynamodb", "get_item"), Call("s3", "list_objects_v2", paged=True)} <= found

    @pytest.mark.parametrize(
        ("text", "call"),
        [
            ("aws.s3().put_object(Key=key)", Call("s3", "put_object")),
            ("aws.dynamodb().get_paginator('query').paginate()", Call("dynamodb", "query", paged=True)),
            ("aws.s3().generate_presigned_url('get_object', ExpiresIn=1)", Call("s3", "get_object")),
        ],
    )
    def test_are_read_from_the_place_of_the_call(self, text: str, call: Call) -> None:
        assert calls.found({"chalicelib/some.py": text}) == {call}

    @pytest.mark.parametrize(
        "text",
        [
            "client = aws.s3()",
            "use(aws.sqs())",
            "take = aws.sqs().receive_message",
            "getattr(aws.s3(), name)()",
            "aws.s3().get_paginator(name)",
            "aws.s3().generate_presigned_url(ClientMethod=name)",
            "aws.s3().get_waiter('object_exists').wait()",
        ],
    )
    def test_cannot_be_hidden(self, text: str) -> None:
        with pytest.raises(calls.UnclearCallError, match=r"chalicelib/some\.py, line 2"):
            calls.found({"chalicelib/some.py": f"\n{text}"})

    def test_that_aws_does_not_have_are_no_bundle(self) -> None:
        with pytest.raises(KeyError, match="put_objekt"):
            aws_data.cut(stock_data(), {Call("s3", "put_objekt")})


@pytest.fixture(scope="module")
def cut() -> dict[str, bytes]:
    return aws_data.cut(stock_data(), calls.found(SOURCES))


@pytest.fixture(scope="module")
def ours(cut: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session that has the bundle's data and no other."""
    folder = tmp_path_factory.mktemp("bundle")
    for path, content in cut.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    session = Session()
    session.register_component("data_loader", OnlyIn(folder / aws_data.ROOT))
    return session


class OnlyIn(Loader):
    """botocore's loader, in a bundle: its own data lie in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.BUILTIN_DATA_PATH = str(folder)
        super().__init__([str(folder)], include_default_search_paths=False)


class TestData:
    def test_holds_every_operation_in_use_with_the_very_shapes_that_aws_has(self, cut: dict[str, bytes]) -> None:
        [path] = [path for path in cut if "/dynamodb/" in path and "service-2" in path]
        kept = json.loads(cut[path])
        full = json.loads(gzip.decompress(stock_data()[f"{path}.gz"]))

        assert (
            {"GetItem", "TransactWriteItems", "DescribeTable"} <= kept["operations"].keys() < full["operations"].keys()
        )
        for name, shape in kept["shapes"].items():
            assert shape == aws_data.undocumented(full["shapes"][name])

    def test_names_no_shape_that_is_not_there(self, cut: dict[str, bytes]) -> None:
        for content in (json.loads(cut[path]) for path in cut if path.endswith("service-2.json")):
            assert aws_data.named([content["operations"], content["shapes"]]) <= content["shapes"].keys()

    def test_says_nothing_for_people(self, cut: dict[str, bytes]) -> None:
        for content in (json.loads(cut[path]) for path in cut if path.endswith("service-2.json")):
            assert '"documentation": "' not in json.dumps([content["operations"], content["shapes"]])

    def test_keeps_a_member_that_is_called_documentation(self) -> None:
        shape = {"members": {"documentation": {"shape": "Text", "documentation": "<p>"}}, "documentation": "<p>"}

        assert aws_data.undocumented(shape) == {"members": {"documentation": {"shape": "Text"}}}

    def test_is_a_small_part_of_what_came(self, cut: dict[str, bytes]) -> None:
        assert sum(map(len, cut.values())) < 400_000


def regions() -> Iterator[tuple[str, str]]:
    """Every region of every partition that AWS has, and one that it has not opened yet."""
    for partition in json.loads(stock_data()[f"{aws_data.ROOT}endpoints.json"])["partitions"]:
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
def test_every_region_is_found_where_the_stock_data_have_it(
    ours: Session, stock: Session, partition: str, region: str, kind: str
) -> None:
    assert addresses(ours, region, KINDS[kind]) == addresses(stock, region, KINDS[kind])
    assert (
        ours.create_client("s3", region, aws_access_key_id="a", aws_secret_access_key="b").meta.partition == partition
    )


def addresses(session: Session, region: str, config: Config) -> list[Any]:
    """Where the calls of a region go, or why botocore says that there is no such endpoint."""
    config = config.merge(Config(signature_version="v4"))
    found: list[Any] = []
    for service in calls.SERVICES:
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


class TestContents:
    def chosen(self, **files: str | bytes) -> set[str]:
        """What stays of a package of these files, and of those that stand-ins replace."""
        entries = {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}
        folder = PROJECT / "tools/bundle/instead"
        replaced = {path.relative_to(folder).as_posix(): b"" for path in folder.rglob("*.py")}
        return set(contents.chosen({**replaced, **entries}))

    def test_are_what_the_app_imports_and_what_that_imports(self) -> None:
        kept = self.chosen(
            **{
                "app.py": "import one",
                "one/__init__.py": "def late():\n    from . import far",
                "one/far.py": "import two.deep",
                "one/unused.py": "import three",
                "two/__init__.py": "",
                "two/deep.py": "",
                "three.py": "",
            }
        )

        assert kept == {"app.py", "one/__init__.py", "one/far.py", "two/__init__.py", "two/deep.py"}

    def test_are_not_what_only_a_type_checker_sees(self) -> None:
        kept = self.chosen(
            **{"app.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import one\n", "one.py": ""}
        )

        assert kept == {"app.py"}

    def test_keep_the_data_of_what_stays_and_its_licence(self) -> None:
        kept = self.chosen(
            **{
                "app.py": "import one",
                "one/__init__.py": "",
                "one/zones.tar.gz": "",
                "one/__init__.pyi": "",
                "one/sub/__init__.py": "",
                "one/sub/page.html": "",
                "one-1.dist-info/RECORD": "one/__init__.py,,",
                "one-1.dist-info/licenses/LICENSE": "",
                "two-1.dist-info/RECORD": "two.py,,",
                "two-1.dist-info/LICENSE": "",
                "two.py": "",
            }
        )

        assert kept == {"app.py", "one/__init__.py", "one/zones.tar.gz", "one-1.dist-info/licenses/LICENSE"}

    def test_keep_the_libraries_that_native_code_is_linked_to(self) -> None:
        kept = self.chosen(
            **{
                "app.py": "import one._core",
                "one/__init__.py": "",
                "one/_core.cpython-311-x86_64-linux-gnu.so": b"\0libfirst-1.so.2\0",
                "one/_other.cpython-311-x86_64-linux-gnu.so": b"\0libthird-1.so.2\0",
                "one.libs/libfirst-1.so.2": b"\0libsecond-1.so.2\0",
                "one.libs/libsecond-1.so.2": b"",
                "one.libs/libthird-1.so.2": b"",
            }
        )

        assert kept - {"app.py", "one/__init__.py"} == {
            "one/_core.cpython-311-x86_64-linux-gnu.so",
            "one.libs/libfirst-1.so.2",
            "one.libs/libsecond-1.so.2",
        }

    def test_keep_all_of_the_apps_own_files(self) -> None:
        own = {"app.py": "", "chalicelib/__init__.py": "", "chalicelib/web/page.html": "", "vendor/more.py": ""}

        assert self.chosen(**own, **{"chalicelib/__pycache__/__init__.cpython-311.pyc": ""}) == own.keys()

    @pytest.mark.parametrize("line", ["__import__(name)", "importlib.import_module(name)"])
    def test_are_not_chosen_where_a_module_imports_by_a_name_that_no_text_tells(self, line: str) -> None:
        with pytest.raises(contents.UnknownImportError, match=r"one\.py, line 3"):
            self.chosen(**{"app.py": "import one", "one.py": f"import importlib\nname = 'two'\n{line}", "two.py": ""})

    def test_need_what_the_stand_ins_stand_in_for(self) -> None:
        with pytest.raises(contents.UnknownImportError, match=r"botocore/docs/utils\.py"):
            contents.chosen({"app.py": b"", "botocore/docs/__init__.py": b"", "botocore/docs/docstring.py": b""})


NETLOCK = (
    "CN=NetLock Arany (Class Gold) Főtanúsítvány,OU=Tanúsítványkiadók (Certification Services),"
    "O=NetLock Kft.,L=Budapest,C=HU"
)


class TestAuthorities:
    FILE = (Path(botocore.__file__).parents[1] / authorities.FILE).read_bytes()

    def test_are_all_that_botocore_trusts(self) -> None:
        whole, one_by_one = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
        whole.load_verify_locations(cadata=self.FILE.decode())
        for certificate in authorities.files(self.FILE).values():
            one_by_one.load_verify_locations(cadata=certificate.decode())

        assert sorted(one_by_one.get_ca_certs(binary_form=True)) == sorted(whole.get_ca_certs(binary_form=True))

    @pytest.mark.parametrize(
        ("name", "hashed"),
        [
            ("CN=Amazon Root CA 1,O=Amazon,C=US", "ce5e74ef"),
            ("CN=ISRG Root X1,O=Internet Security Research Group,C=US", "4042bcee"),
            (NETLOCK, "988a38cb"),
            ("CN=Izenpe.com,O=IZENPE S.A.,C=ES", "cc450945"),
        ],
    )
    def test_have_the_names_that_openssl_looks_for(self, name: str, hashed: str) -> None:
        """As ``openssl x509 -subject_hash`` says of these."""
        assert authorities.name_hash(x509.Name.from_rfc4514_string(name)) == hashed

    def test_of_one_name_have_a_number_each(self) -> None:
        more = authorities.files(self.FILE * 2).keys() - authorities.files(self.FILE).keys()

        assert {path.rpartition(".")[2] for path in more} == {"1"}


class TestArchive:
    def test_has_the_same_bytes_whenever_it_holds_the_same(self, tmp_path: Path) -> None:
        archive.write(tmp_path / "one.zip", {"a.py": b"1", "b/c.py": b"2"}, b"mark")
        archive.write(tmp_path / "two.zip", {"b/c.py": b"2", "a.py": b"1"}, b"mark")

        assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
        assert archive.read(tmp_path / "one.zip") == {"a.py": b"1", "b/c.py": b"2"}
        assert archive.comment(tmp_path / "one.zip") == b"mark"

    def test_can_be_read_by_everybody(self, tmp_path: Path) -> None:
        archive.write(tmp_path / "one.zip", {"a.py": b"1"})

        with zipfile.ZipFile(tmp_path / "one.zip") as written:
            assert written.infolist()[0].external_attr >> 16 == 0o644


class TestBytecode:
    def test_stands_where_this_python_looks_for_it_and_is_taken_as_it_is(self) -> None:
        [(path, content)] = archive.bytecode({"one/two.py": b"answer = 42"}).items()

        assert path == importlib.util.cache_from_source("one/two.py")
        assert content[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(content[4:8], "little") == 0b01  # PEP 552: by hash, unchecked

    def test_shows_the_place_in_the_source_when_something_fails(self) -> None:
        [content] = archive.bytecode({"one/two.py": b"\n\nraise ValueError"}).values()

        code = marshal.loads(content[16:])
        assert code.co_filename == "/var/task/one/two.py"
        assert 3 in {line for _, _, line in code.co_lines()}

    def test_has_the_same_bytes_every_time(self) -> None:
        sources = {path: text.encode() for path, text in SOURCES.items()}

        assert archive.bytecode(sources) == archive.bytecode(dict(reversed(sources.items())))

    def test_of_an_app_that_was_replaced_is_not_taken(self, tmp_path: Path) -> None:
        # Chalice's inject_latest_app puts a newer app.py into a kept package and leaves all else.
        made = archive.bytecode({"app.py": b"print('old')", "other.py": b"print('old')"}, checked=["app.py"])
        for path, content in made.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(content)
        for name in ("app.py", "other.py"):
            (tmp_path / name).write_text("print('new')")

        said = subprocess.run(
            [sys.executable, "-B", "-c", "import app, other"], cwd=tmp_path, capture_output=True, text=True, check=True
        )

        assert said.stdout.split() == ["new", "old"]

    def test_of_what_is_no_python_is_an_error_that_names_it(self) -> None:
        with pytest.raises(archive.CompileError, match=r"one\.py"):
            archive.bytecode({"one.py": b"def"})


def test_the_report_says_what_went_and_what_is_left() -> None:
    before = {"big/__init__.py": b" " * 2**20, "gone/__init__.py": b" " * 2**21, "app.py": b""}
    after = package.Bundle({"big/__init__.py": b" " * 2**19, "app.py": b""}, {Call("s3", "put_object")})

    lines = package.report(before, after)

    assert [" ".join(line.split()) for line in lines] == [
        "gone 2.0 MiB → gone",
        "big 1.0 MiB → 0.5 MiB",
        "in all, unpacked 3.0 MiB → 0.5 MiB",
        "operations: s3:put_object",
    ]
