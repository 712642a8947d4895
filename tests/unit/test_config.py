"""The settings: their defaults, and which values are rejected."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

from chalicelib import config
from chalicelib.config import ConfigError, Cors, Issuer, Size


def test_resource_names_contain_the_stage() -> None:
    settings = config.load({"STAGE": "prod"})

    assert (settings.table, settings.queue_name("jobs"), settings.bucket_prefix) == (
        "vitrine-prod",
        "vitrine-prod-jobs",
        "vitrine-prod-",
    )


def test_every_setting_is_read() -> None:
    settings = config.load(
        {
            "STAGE": "p1",
            "BUCKET_NAME": "pictures",
            "AUTH_MODE": "none",
            "OIDC_ISSUER": "https://sign.in",
            "OIDC_AUDIENCE": "one, two",
            "OIDC_JWKS_URL": "https://sign.in/keys",
            "CORS_ORIGINS": "https://shop.example,http://localhost:3000",
            "CORS_ALLOW_HEADERS": "X-Trace",
            "CORS_EXPOSE_HEADERS": "X-Took",
            "LOG_LEVEL": "DEBUG",
            "LOG_OWNER": "hash",
            "LOG_OWNER_KEY": "a secret of 23 bytes ..",
            "THUMBNAIL_SIZES": "fit:1024:webp,cover:64:jpeg,cover:96",
            "PUBLIC_URL": "https://d111.cloudfront.net/",
            "REPORT_BATCH_ITEM_FAILURES": "true",
            "TABLE_STREAM_ARN": "arn:aws:dynamodb:eu-west-1:1:table/vitrine-p1/stream/1",
        }
    )

    assert settings == config.Settings(
        stage="p1",
        bucket="pictures",
        public_url="https://d111.cloudfront.net",
        auth_mode="none",
        issuer=Issuer("https://sign.in", ("one", "two"), "https://sign.in/keys"),
        cors=Cors(("https://shop.example", "http://localhost:3000"), ("X-Trace",), ("X-Took",)),
        log_level="DEBUG",
        log_owner="hash",
        log_owner_key="a secret of 23 bytes ..",
        thumbnail_sizes=(Size(1024, "fit", "webp"), Size(64, "cover"), Size(96, "cover")),
        report_batch_item_failures=True,
        table_stream_arn="arn:aws:dynamodb:eu-west-1:1:table/vitrine-p1/stream/1",
    )


@pytest.mark.parametrize(
    "name",
    [
        "BUCKET_NAME",
        "AUTH_MODE",
        "OIDC_ISSUER",
        "USER_POOL_ISSUER",
        "CORS_ORIGINS",
        "LOG_LEVEL",
        "LOG_OWNER",
        "THUMBNAIL_SIZES",
        "PUBLIC_URL",
    ],
)
def test_empty_setting_is_the_default(name: str) -> None:
    assert config.load({name: ""}) == config.load({})


def test_public_url_is_none_without_a_distribution() -> None:
    assert config.load({"PUBLIC_URL": "none"}).public_url is None


@pytest.mark.parametrize("url", ["http://shop.example", "shop.example", "https://", "https://shop.example/?a=b"])
def test_public_url_must_be_an_https_address(url: str) -> None:
    with pytest.raises(ConfigError, match="PUBLIC_URL"):
        config.load({"PUBLIC_URL": url})


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 65, "ü" * 33])
def test_key_of_the_owner_hash_must_have_16_to_64_bytes(key: str) -> None:
    with pytest.raises(config.ConfigError, match="LOG_OWNER_KEY"):
        config.load({"LOG_OWNER": "hash", "LOG_OWNER_KEY": key})


@pytest.mark.parametrize("value", ["false", "True", "1", ""])
def test_only_true_reports_batch_item_failures(value: str) -> None:
    assert config.load({"REPORT_BATCH_ITEM_FAILURES": value}).report_batch_item_failures is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("STAGE", value) for value in ("", "Prod", "1st", "my-stage", "prod\n", "a" * 21, "ä")),
        *(("AUTH_MODE", value) for value in ("OIDC", "off", "no ne", "false")),
        *(
            ("CORS_ORIGINS", value)
            for value in ("shop.example", "https://shop.example/", "*,https://a.example", "https://*.a")
        ),
        *(("CORS_ALLOW_HEADERS", value) for value in ("X One", "X-One;X-Two", "ä")),
        *(("CORS_EXPOSE_HEADERS", value) for value in ("*", "X-One: 1")),
        *(("LOG_LEVEL", value) for value in ("info", "TRACE", "10")),
        *(("LOG_OWNER", value) for value in ("Plain", "hashed", "sha256", "hash")),
        *(
            ("THUMBNAIL_SIZES", value)
            for value in (
                "200",
                "square:200",
                "cover:200;fit:800",
                "cover:200,",
                "cover:5",
                "cover:00",
                "fit:000",
                "cover:12345",
                "cover:200,fit:200",
                "cover:-200",
                "cover:200:avif",
                "cover:200:",
            )
        ),
    ],
)
def test_invalid_value_is_rejected_with_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load({name: value})

    assert str(error.value).startswith(f"{name} is {value!r}: ")
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("stage", ["dev", "prod", "local2"])
def test_auth_mode_local_is_only_for_the_stage_local(stage: str) -> None:
    assert config.load({"STAGE": "local", "AUTH_MODE": "local"}).auth_mode == "local"

    with pytest.raises(ConfigError, match=f"AUTH_MODE is 'local' in the stage {stage}: .* none for"):
        config.load({"STAGE": stage, "AUTH_MODE": "local"})


def test_chalice_local_is_recognised_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CHALICE_CLI_MODE", raising=False)
    monkeypatch.setattr(sys, "argv", ["chalice", "local"])
    assert not config.is_chalice_local()

    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
    assert config.is_chalice_local()

    for words in (["--debug", "local"], ["--project-dir", "local", "local"], ["--project-dir=.", "local"]):
        monkeypatch.setattr(sys, "argv", ["chalice", *words])
        assert config.is_chalice_local()
    for words in (
        ["deploy"],
        ["package", "--stage", "local", "out"],
        ["--project-dir", "local", "package", "local"],
        [],
    ):
        monkeypatch.setattr(sys, "argv", ["chalice", *words])
        assert not config.is_chalice_local()


class TestIssuer:
    NAMED: ClassVar = {"OIDC_ISSUER": "https://sign.in/", "OIDC_AUDIENCE": "shop"}
    POOL: ClassVar = {"USER_POOL_ISSUER": "https://pool", "USER_POOL_CLIENT_ID": "client"}

    def test_oidc_issuer_has_precedence_over_the_user_pool(self) -> None:
        for environment in (self.NAMED, self.POOL | self.NAMED):
            assert config.load(environment).issuer == Issuer("https://sign.in/", ("shop",), None)

    def test_user_pool_is_the_default(self) -> None:
        assert config.load(self.POOL).issuer == Issuer(
            "https://pool", ("client",), "https://pool/.well-known/jwks.json", "client"
        )

    def test_client_id_of_another_issuer_must_be_set(self) -> None:
        for setting, client_id in (({}, None), ({"OIDC_CLIENT_ID": "console"}, "console")):
            found = config.load(self.POOL | self.NAMED | setting).issuer
            assert found is not None
            assert found.client_id == client_id

    def test_oidc_audience_replaces_the_client_of_the_pool(self) -> None:
        found = config.load(self.POOL | {"OIDC_AUDIENCE": "client,app"}).issuer
        assert found is not None
        assert found.audiences == ("client", "app")

    @pytest.mark.parametrize(("setting", "claim"), [(None, "sub"), ("", "sub"), ("org_id", "org_id")])
    def test_owner_claim_is_the_subject_by_default(self, setting: str | None, claim: str) -> None:
        environment = self.NAMED if setting is None else self.NAMED | {"OIDC_OWNER_CLAIM": setting}
        found = config.load(environment).issuer
        assert found is not None
        assert found.owner_claim == claim

    @pytest.mark.parametrize("audience", ["", " , "])
    def test_oidc_issuer_requires_an_audience(self, audience: str) -> None:
        with pytest.raises(ConfigError, match="OIDC_AUDIENCE is missing"):
            config.load(self.POOL | self.NAMED | {"OIDC_AUDIENCE": audience})

    @pytest.mark.parametrize(
        "address", ["http://sign.in", "sign.in", "https://", "file:///keys", "http://localhost.evil.example"]
    )
    @pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_JWKS_URL"])
    def test_urls_without_tls_are_rejected(self, name: str, address: str) -> None:
        with pytest.raises(ConfigError, match=f"{name} is '{address}': it must begin with https"):
            config.load(self.NAMED | {name: address})

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9000/keys", "http://localhost/keys", "http://[::1]/keys"])
    def test_urls_of_this_machine_may_be_http(self, address: str) -> None:
        assert config.load(self.NAMED | {"OIDC_JWKS_URL": address}).issuer == Issuer(
            "https://sign.in/", ("shop",), address
        )


class TestSignIn:
    @pytest.fixture(autouse=True)
    def fresh_settings(self, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.delenv("BUCKET_NAME")
        monkeypatch.delenv("AWS_CHALICE_CLI_MODE", raising=False)
        config.settings.cache_clear()
        yield
        config.settings.cache_clear()

    @pytest.mark.parametrize("mode", ["local", "none"])
    def test_is_not_required_with_auth_mode_local_or_none(self, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
        monkeypatch.setenv("AUTH_MODE", mode)

        assert not config.sign_in_required()

    def test_is_required_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")

        assert config.sign_in_required()

    def test_is_not_required_under_chalice_local_without_resources(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")
        monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
        monkeypatch.setattr(sys, "argv", ["chalice", "local"])

        assert not config.sign_in_required()

    def test_is_required_under_chalice_local_with_resources(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")
        monkeypatch.setenv("BUCKET_NAME", "vitrine-dev-1-x")
        monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
        monkeypatch.setattr(sys, "argv", ["chalice", "local"])

        assert config.sign_in_required()
