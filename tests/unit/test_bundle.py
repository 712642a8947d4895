"""The contents of the bundle: AWS models, reachable files, edits, authorities, bytecode."""

from __future__ import annotations

import gzip
import json
import ssl
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from tests import bundle_files
from tools.bundle import (
    archive,
    aws_operations,
    botocore_data,
    certificate_folder,
    reachable_files,
    third_party_edits,
)
from tools.bundle.aws_operations import Call
from tools.bundle.errors import ChangedCodeError, UnclearCallError, UnknownImportError


class TestAwsOperations:
    def test_calls_of_the_app_are_found(self) -> None:
        found = aws_operations.find(bundle_files.own_sources())

        assert {call.service for call in found} == set(aws_operations.SERVICES)
        assert {Call("dynamodb", "get_item"), Call("s3", "list_objects_v2", paged=True)} <= found

    @pytest.mark.parametrize(
        ("text", "call"),
        [
            ("aws.s3().put_object(Key=key)", Call("s3", "put_object")),
            ("aws.dynamodb().get_paginator('query').paginate()", Call("dynamodb", "query", paged=True)),
            ("aws.s3().generate_presigned_url('get_object', ExpiresIn=1)", Call("s3", "get_object")),
        ],
    )
    def test_call_names_its_operation(self, text: str, call: Call) -> None:
        assert aws_operations.find({"chalicelib/some.py": text}) == {call}

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
    def test_unclear_call_fails(self, text: str) -> None:
        with pytest.raises(UnclearCallError, match=r"chalicelib/some\.py, line 2"):
            aws_operations.find({"chalicelib/some.py": f"\n{text}"})

    def test_unknown_operation_fails(self) -> None:
        with pytest.raises(KeyError, match="put_objekt"):
            botocore_data.cut(bundle_files.aws_models(), {Call("s3", "put_objekt")})


@pytest.fixture(scope="module")
def cut() -> dict[str, bytes]:
    return botocore_data.cut(bundle_files.aws_models(), aws_operations.find(bundle_files.own_sources()))


class TestBotocoreData:
    def test_operations_in_use_keep_their_shapes(self, cut: dict[str, bytes]) -> None:
        [path] = [path for path in cut if "/dynamodb/" in path and "service-2" in path]
        kept = json.loads(cut[path])
        full = json.loads(gzip.decompress(bundle_files.aws_models()[f"{path}.gz"]))

        assert (
            {"GetItem", "TransactWriteItems", "DescribeTable"} <= kept["operations"].keys() < full["operations"].keys()
        )
        for name, shape in kept["shapes"].items():
            assert shape == botocore_data.undocumented(full["shapes"][name])

    def test_every_referenced_shape_exists(self, cut: dict[str, bytes]) -> None:
        for content in (json.loads(cut[path]) for path in cut if path.endswith("service-2.json")):
            assert botocore_data.shape_names([content["operations"], content["shapes"]]) <= content["shapes"].keys()

    def test_member_named_documentation_stays(self) -> None:
        shape = {"members": {"documentation": {"shape": "Text", "documentation": "<p>"}}, "documentation": "<p>"}

        assert botocore_data.undocumented(shape) == {"members": {"documentation": {"shape": "Text"}}}


class TestReachableFiles:
    def reachable(self, **files: str | bytes) -> set[str]:
        """Return the reachable files of a package that consists of ``files``."""
        entries = {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}
        return set(reachable_files.reachable(entries))

    def test_imports_are_followed(self) -> None:
        kept = self.reachable(
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

    def test_type_checking_imports_are_ignored(self) -> None:
        kept = self.reachable(
            **{"app.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import one\n", "one.py": ""}
        )

        assert kept == {"app.py"}

    def test_data_and_licences_stay_with_their_package(self) -> None:
        kept = self.reachable(
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

    def test_linked_libraries_stay(self) -> None:
        kept = self.reachable(
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

    def test_own_files_stay(self) -> None:
        own = {"app.py": "", "chalicelib/__init__.py": "", "chalicelib/web/page.html": "", "vendor/more.py": ""}

        assert self.reachable(**own, **{"chalicelib/__pycache__/__init__.cpython-311.pyc": ""}) == own.keys()

    @pytest.mark.parametrize("line", ["__import__(name)", "importlib.import_module(name)"])
    def test_unlisted_import_by_computed_name_fails(self, line: str) -> None:
        with pytest.raises(UnknownImportError, match=r"one\.py, line 3"):
            self.reachable(
                **{"app.py": "import one", "one.py": f"import importlib\nname = 'two'\n{line}", "two.py": ""}
            )


def third_party_files() -> dict[str, bytes]:
    """Return the content of the installed files that the bundle edits, by path."""
    paths = {edit.path for edit in third_party_edits.LATE_IMPORTS} | {"botocore/httpsession.py", "botocore/cacert.pem"}
    return {path: (bundle_files.SITE_PACKAGES / path).read_bytes() for path in paths}


class TestThirdPartyEdits:
    @pytest.mark.parametrize("edit", third_party_edits.LATE_IMPORTS, ids=lambda edit: edit.statement)
    def test_import_is_moved_before_its_use(self, edit: third_party_edits.LateImport) -> None:
        lines = third_party_edits.with_late_imports(third_party_files())[edit.path].decode().splitlines()

        [at] = [number for number, line in enumerate(lines) if line.strip() == edit.statement]
        assert lines[at].startswith("    ")
        assert lines[at + 2].strip() == edit.use

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace("import version", "import version as v"),
            lambda text: text + '\nmore = version("urllib3")\n',
            lambda _: "",
        ],
    )
    def test_changed_file_fails(self, change: Callable[[str], str]) -> None:
        path = "urllib3/http2/__init__.py"
        files = third_party_files()

        with pytest.raises(ChangedCodeError, match=rf"{path} has changed.*STOCK=1"):
            third_party_edits.with_late_imports(files | {path: change(files[path].decode()).encode()})

    def test_changed_http_session_fails(self) -> None:
        files = third_party_files() | {"botocore/httpsession.py": b"verify = True\n"}

        with pytest.raises(ChangedCodeError, match=r"botocore/httpsession\.py has changed"):
            certificate_folder.with_folder(files)


NETLOCK = (
    "CN=NetLock Arany (Class Gold) Főtanúsítvány,OU=Tanúsítványkiadók (Certification Services),"
    "O=NetLock Kft.,L=Budapest,C=HU"
)


class TestCertificateAuthorities:
    FILE = (bundle_files.SITE_PACKAGES / certificate_folder.FILE).read_bytes()

    def test_all_authorities_of_botocore_are_kept(self) -> None:
        whole, one_by_one = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
        whole.load_verify_locations(cadata=self.FILE.decode())
        for certificate in certificate_folder.split(self.FILE).values():
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
    def test_file_names_are_openssls_hashes(self, name: str, hashed: str) -> None:
        """Compare with hashes from the output of ``openssl x509 -subject_hash``."""
        assert certificate_folder.subject_hash(x509.Name.from_rfc4514_string(name)) == hashed

    def test_equal_subjects_are_numbered(self) -> None:
        more = certificate_folder.split(self.FILE * 2).keys() - certificate_folder.split(self.FILE).keys()

        assert {path.rpartition(".")[2] for path in more} == {"1"}


class TestArchive:
    def test_equal_contents_give_equal_bytes(self, tmp_path: Path) -> None:
        archive.write(tmp_path / "one.zip", {"a.py": b"1", "b/c.py": b"2"}, b"mark")
        archive.write(tmp_path / "two.zip", {"b/c.py": b"2", "a.py": b"1"}, b"mark")

        assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
        assert archive.read(tmp_path / "one.zip") == {"a.py": b"1", "b/c.py": b"2"}
        assert archive.comment(tmp_path / "one.zip") == b"mark"

    def test_files_are_readable_by_all(self, tmp_path: Path) -> None:
        archive.write(tmp_path / "one.zip", {"a.py": b"1"})

        with zipfile.ZipFile(tmp_path / "one.zip") as written:
            assert written.infolist()[0].external_attr >> 16 == 0o644
