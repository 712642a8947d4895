"""Settings: what stands without any, and what each refuses."""

from __future__ import annotations

import sys
from typing import ClassVar

import pytest

from chalicelib import config
from chalicelib.config import ConfigError, Cors, Issuer, Size


def test_without_any_setting_a_stage_is_closed_and_has_no_backend() -> None:
    settings = config.load({})

    assert settings == config.Settings(
        stage="dev",
        bucket=None,
        auth_mode="oidc",
        issuer=None,
        cors=Cors(("*",), (), ()),
        log_level="INFO",
        log_owner="plain",
        log_owner_key="",
        thumbnail_sizes=(Size(200, "cover"), Size(800, "fit")),
        report_batch_item_failures=False,
    )


def test_names_follow_from_the_stage() -> None:
    settings = config.load({"STAGE": "prod"})

    assert (settings.table, settings.queue, settings.bucket_prefix) == (
        "vitrine-prod",
        "vitrine-prod-jobs",
        "vitrine-prod-",
    )


def test_each_setting_is_read() -> None:
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
            "THUMBNAIL_SIZES": "fit:1024,cover:64,cover:96",
            "REPORT_BATCH_ITEM_FAILURES": "true",
        }
    )

    assert settings == config.Settings(
        stage="p1",
        bucket="pictures",
        auth_mode="none",
        issuer=Issuer("https://sign.in", ("one", "two"), "https://sign.in/keys"),
        cors=Cors(("https://shop.example", "http://localhost:3000"), ("X-Trace",), ("X-Took",)),
        log_level="DEBUG",
        log_owner="hash",
        log_owner_key="a secret of 23 bytes ..",
        thumbnail_sizes=(Size(1024, "fit"), Size(64, "cover"), Size(96, "cover")),
        report_batch_item_failures=True,
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
    ],
)
def test_an_empty_setting_is_as_good_as_none(name: str) -> None:
    assert config.load({name: ""}) == config.load({})


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 65, "ü" * 33])
def test_owners_are_hashed_with_a_key_that_nobody_guesses(key: str) -> None:
    with pytest.raises(config.ConfigError, match="LOG_OWNER_KEY"):
        config.load({"LOG_OWNER": "hash", "LOG_OWNER_KEY": key})


@pytest.mark.parametrize("said", ["false", "True", "1", ""])
def test_failures_are_reported_only_where_the_setting_says_exactly_true(said: str) -> None:
    assert config.load({"REPORT_BATCH_ITEM_FAILURES": said}).report_batch_item_failures is False


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *(("STAGE", said) for said in ("", "Prod", "1st", "my-stage", "prod\n", "a" * 21, "ä")),
        *(("AUTH_MODE", said) for said in ("OIDC", "off", "no ne", "false")),
        *(
            ("CORS_ORIGINS", said)
            for said in ("shop.example", "https://shop.example/", "*,https://a.example", "https://*.a")
        ),
        *(("CORS_ALLOW_HEADERS", said) for said in ("X One", "X-One;X-Two", "ä")),
        *(("CORS_EXPOSE_HEADERS", said) for said in ("*", "X-One: 1")),
        *(("LOG_LEVEL", said) for said in ("info", "TRACE", "10")),
        *(("LOG_OWNER", said) for said in ("Plain", "hashed", "sha256", "hash")),
        *(
            ("THUMBNAIL_SIZES", said)
            for said in (
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
            )
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence_that_names_it(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load({name: said})

    assert str(refused.value).startswith(f"{name} is {said!r}: ")
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("stage", ["dev", "prod", "local2"])
def test_only_the_stage_local_signs_everyone_in_as_local(stage: str) -> None:
    assert config.load({"STAGE": "local", "AUTH_MODE": "local"}).auth_mode == "local"

    with pytest.raises(ConfigError, match=f"AUTH_MODE is 'local' in the stage {stage}: .* says none"):
        config.load({"STAGE": stage, "AUTH_MODE": "local"})


def test_a_stage_is_served_locally_only_under_chalice_local(monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Whose tokens are good, by the environment."""

    NAMED: ClassVar = {"OIDC_ISSUER": "https://sign.in/", "OIDC_AUDIENCE": "shop"}
    POOL: ClassVar = {"USER_POOL_ISSUER": "https://pool", "USER_POOL_CLIENT_ID": "client"}

    def test_is_the_one_that_is_named(self) -> None:
        for environment in (self.NAMED, self.POOL | self.NAMED):
            assert config.load(environment).issuer == Issuer("https://sign.in/", ("shop",), None)

    def test_is_the_stages_own_pool_where_none_is(self) -> None:
        assert config.load(self.POOL).issuer == Issuer(
            "https://pool", ("client",), "https://pool/.well-known/jwks.json", "client"
        )

    def test_console_is_a_client_of_another_issuer_only_where_it_is_said_which(self) -> None:
        for said, client_id in (({}, None), ({"OIDC_CLIENT_ID": "console"}, "console")):
            found = config.load(self.POOL | self.NAMED | said).issuer
            assert found is not None
            assert found.client_id == client_id

    def test_pool_may_have_other_clients(self) -> None:
        found = config.load(self.POOL | {"OIDC_AUDIENCE": "client,app"}).issuer
        assert found is not None
        assert found.audiences == ("client", "app")

    @pytest.mark.parametrize("audience", ["", " , "])
    def test_takes_no_tokens_that_are_for_just_anybody(self, audience: str) -> None:
        with pytest.raises(ConfigError, match="OIDC_AUDIENCE is missing"):
            config.load(self.POOL | self.NAMED | {"OIDC_AUDIENCE": audience})

    @pytest.mark.parametrize(
        "address", ["http://sign.in", "sign.in", "https://", "file:///keys", "http://localhost.evil.example"]
    )
    @pytest.mark.parametrize("name", ["OIDC_ISSUER", "OIDC_JWKS_URL"])
    def test_keys_never_come_where_somebody_could_put_their_own(self, name: str, address: str) -> None:
        with pytest.raises(ConfigError, match=f"{name} is '{address}': it begins with https"):
            config.load(self.NAMED | {name: address})

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9000/keys", "http://localhost/keys", "http://[::1]/keys"])
    def test_keys_may_lie_on_this_very_machine(self, address: str) -> None:
        assert config.load(self.NAMED | {"OIDC_JWKS_URL": address}).issuer == Issuer(
            "https://sign.in/", ("shop",), address
        )


class TestWhoIsAsked:
    """Whether routes stand behind the authorizer, by the environment."""

    @pytest.fixture(autouse=True)
    def fresh_settings(self, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.delenv("BUCKET_NAME")
        monkeypatch.delenv("AWS_CHALICE_CLI_MODE", raising=False)
        config.settings.cache_clear()
        yield
        config.settings.cache_clear()

    @pytest.mark.parametrize("mode", ["local", "none"])
    def test_nobody_is_where_the_stage_says_that_it_is_open(self, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
        monkeypatch.setenv("AUTH_MODE", mode)

        assert not config.sign_in_required()

    def test_everybody_is_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")

        assert config.sign_in_required()

    def test_nobody_is_under_chalice_local_where_nothing_is_provisioned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")
        monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
        monkeypatch.setattr(sys, "argv", ["chalice", "local"])

        assert not config.sign_in_required()

    def test_everybody_is_under_chalice_local_where_something_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AUTH_MODE")
        monkeypatch.setenv("BUCKET_NAME", "vitrine-dev-1-x")
        monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")
        monkeypatch.setattr(sys, "argv", ["chalice", "local"])

        assert config.sign_in_required()


def test_what_opens_the_laptop_to_everybody_does_not_open_a_deployed_stage() -> None:
    with pytest.raises(config.ConfigError, match="AUTH_MODE is 'local' in the stage prod"):
        config.load({"STAGE": "prod", "AUTH_MODE": "local"})
