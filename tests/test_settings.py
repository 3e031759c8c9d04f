"""Behaviour of settings: where a value comes from, and what a wrong one says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from apertura.domain.limits import parse_limit
from apertura.settings import TABLE, Settings, SettingsError, database_url, load


def loaded(
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Settings:
    """The settings of these three places; the file is called app.toml."""
    given = dict(flags or {})
    if file is not None:
        given["config"] = "app.toml"
    return load(flags=given, environment=environment or {}, read_file=reader(file or ""))


def reader(text: str) -> Callable[[str], str]:
    def read(path: str) -> str:
        assert path == "app.toml"
        return text

    return read


def test_every_setting_has_its_default() -> None:
    """With nothing said, the table's; and no secret among them."""
    settings = loaded()

    assert {s.name: getattr(settings, s.name) for s in TABLE} == {s.name: s.default for s in TABLE}
    assert settings.secret == ""
    assert (settings.providers, settings.offers) == ((), ())


def test_every_setting_is_explained() -> None:
    """Each has a sentence of help, and a name of its own."""
    assert all(setting.help.endswith(".") for setting in TABLE)
    assert len({setting.name for setting in TABLE}) == len(TABLE)


def test_a_flag_wins_over_the_environment_and_that_over_the_file() -> None:
    """And the file over the default."""
    environment, file = {"APERTURA_PORT": "2"}, "port = 3"

    assert loaded({"port": "1"}, environment, file).port == 1
    assert loaded({}, environment, file).port == 2
    assert loaded({}, {}, file).port == 3
    assert loaded().port == 8000


def test_an_empty_variable_says_nothing() -> None:
    """As compose files and unit files leave them."""
    assert loaded({}, {"APERTURA_PORT": ""}, "port = 3").port == 3


def test_the_environment_names_the_file() -> None:
    """A flag would win."""
    settings = load(
        flags={}, environment={"APERTURA_CONFIG": "app.toml"}, read_file=reader('name = "Ours"')
    )

    assert (settings.name, settings.config) == ("Ours", "app.toml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "0", 0),
        ("dev", "on", True),
        ("call_log", "No", False),
        ("timeout_connect", "0.5", 0.5),
        ("limit_per_key", "OFF", "off"),
        ("limit_per_key", " 10/2 ", "10/2"),
        ("tax_rate", "8.25", "8.25"),
        ("tax_rate", "100", "100"),
        ("receipt_keys", f"{'AB' * 32}, {'0' * 64},", ("ab" * 32, "0" * 64)),
        ("trusted_proxies", "10.0.0.0/8, ::1,", ("10.0.0.0/8", "::1")),
        ("metrics_from", "10.0.0.1/8", ("10.0.0.1/8",)),
        ("secret", "s" * 32, "s" * 32),
        ("secret", "é" * 16, "é" * 16),
    ],
)
def test_values_are_read(name: str, text: str, value: object) -> None:
    """Each by its kind."""
    assert getattr(loaded({name: text}), name) == value


def test_toml_has_kinds_of_its_own() -> None:
    """A number, a truth value, a list: all mean what their text would."""
    file = 'port = 9\ndev = true\ntimeout_idle = 1.5\ntrusted_proxies = ["10.0.0.0/8", "::1"]'

    settings = loaded(file=file)

    assert (settings.port, settings.dev, settings.timeout_idle) == (9, True, 1.5)
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")


WRONG = [
    ("port", "http", "'http' is not a whole number"),
    ("tax_rate", "19%", "'19%' is no percentage"),
    ("tax_rate", "100.5", "'100.5' is no percentage"),
    ("receipt_keys", "abc", "'abc' is no public key of 64 hex digits"),
    ("port", "70000", "70000 is not a port"),
    ("port", "-1", "-1 is not a port"),
    ("workers", "0", "0 is less than 1"),
    ("max_body_mb", "1.5", "'1.5' is not a whole number"),
    ("timeout_first", "soon", "'soon' is not a number of seconds"),
    ("timeout_first", "0", "is not between"),
    ("timeout_first", "nan", "is not between"),
    ("timeout_first", "inf", "is not between"),
    ("call_log", "maybe", "'maybe' is neither on nor off"),
    ("limit_per_key", "many", "'many' is neither COUNT/SECONDS"),
    ("limit_per_key", "0/60", "'0/60' is neither COUNT/SECONDS"),
    ("limit_per_key", "5/0", "'5/0' is neither COUNT/SECONDS"),
    ("limit_per_key", "²/5", "'²/5' is neither COUNT/SECONDS"),
    ("limit_per_key", "5/5/5", "'5/5/5' is neither COUNT/SECONDS"),
    ("trusted_proxies", "10.0.0.0/8,proxy", "'proxy'"),
    ("secret", "s" * 31, "it is shorter than 32 bytes"),
]


@pytest.mark.parametrize(("name", "text", "reason"), WRONG)
def test_a_wrong_value_names_its_place(name: str, text: str, reason: str) -> None:
    """The flag, the variable, or the file with the key; and what is wrong."""
    places = [
        (f"--{name.replace('_', '-')}: ", ({name: text},)),
        (f"APERTURA_{name.upper()}: ", ({}, {f"APERTURA_{name.upper()}": text})),
        (f"app.toml: {name}: ", ({}, {}, f'{name} = "{text}"')),
    ]
    for place, arguments in places:
        with pytest.raises(SettingsError, match=re.escape(place)) as refused:
            loaded(*arguments)
        assert reason in str(refused.value)


def test_a_short_secret_is_not_repeated() -> None:
    """Not even one that is too short stands in a message; it says how to make a good one."""
    with pytest.raises(SettingsError, match="openssl rand -hex 32") as refused:
        loaded({}, {"APERTURA_SECRET": "hunter2"})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["1500/180", "off", " 3/1 ", "007/1"])
def test_a_limit_that_is_accepted_can_be_used(text: str) -> None:
    """What this table lets pass, the arithmetic of limits can read."""
    parse_limit(loaded({"limit_per_key": text}).limit_per_key)


@pytest.mark.parametrize("url", ["mail.example", "http://u:canary@h", "smtp://", "smtps://h:0"])
def test_a_mail_server_that_is_none_is_not_repeated(url: str) -> None:
    """Its URL may hold a password."""
    with pytest.raises(SettingsError, match="APERTURA_SMTP_URL: it is no URL such as") as refused:
        loaded({}, {"APERTURA_SMTP_URL": url, "APERTURA_MAIL_FROM": "a@b.example"})

    assert "canary" not in str(refused.value)


def test_a_mail_server_wants_a_sender() -> None:
    """Nobody takes mail from nobody."""
    with pytest.raises(SettingsError, match="mail_from is not"):
        loaded({}, {"APERTURA_SMTP_URL": "smtp://h"})


def test_secrets_are_hidden() -> None:
    """What holds a password or a key has no flag."""
    hidden = {setting.name for setting in TABLE if setting.hidden}

    assert {"secret", "smtp_url"} <= hidden


def test_several_workers_are_refused_with_a_reason() -> None:
    """Their limits would add up."""
    with pytest.raises(SettingsError, match="workers=2: rate limits are counted in each worker"):
        loaded({"workers": "2"})


def test_foreign_counters_are_refused() -> None:
    """Until they are built."""
    with pytest.raises(SettingsError, match="counters="):
        loaded({"counters": "valkey://127.0.0.1"})


def test_an_unknown_key_of_the_file_is_refused() -> None:
    """With the one that was probably meant."""
    with pytest.raises(SettingsError, match=r"app\.toml: there is no setting 'prot'; did you mean"):
        loaded(file="prot = 1")
    with pytest.raises(SettingsError, match=r"there is no setting 'xyzzy'$"):
        loaded(file="xyzzy = 1")


def test_a_file_that_is_no_toml_is_refused_by_name() -> None:
    """With the line."""
    with pytest.raises(SettingsError, match=r"^app\.toml: .*at (line|end)"):
        loaded(file="port = 1\nhost =")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory"), "cannot be read: No such file"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(failure: Exception, reason: str) -> None:
    """One sentence, whatever the system says."""

    def read(_: str) -> str:
        raise failure

    with pytest.raises(SettingsError, match=r"^app\.toml: ") as refused:
        load(flags={"config": "app.toml"}, environment={}, read_file=read)
    assert reason in str(refused.value)


def test_tables_of_the_catalogue_are_handed_on() -> None:
    """As they stand, in order."""
    settings = loaded(file='[[providers]]\nname = "acme"\n[[offers]]\nmodel = "small"\nodd = 1')

    assert settings.providers == ({"name": "acme"},)
    assert settings.offers == ({"model": "small", "odd": 1},)


@pytest.mark.parametrize("text", ['providers = "acme"', "offers = [1]", "[providers]\nname = 'x'"])
def test_tables_written_otherwise_are_refused(text: str) -> None:
    """The message shows how they are written."""
    with pytest.raises(SettingsError, match=r"as a table \[\["):
        loaded(file=text)


def test_the_database_is_in_the_data_folder_unless_named() -> None:
    """A SQLite file by default."""
    assert database_url(loaded({"data": "there"})) == "sqlite:there/apertura.db"
    assert database_url(loaded({"database": "sqlite:/x.db"})) == "sqlite:/x.db"


def test_settings_do_not_change() -> None:
    """A frozen value, to be handed around."""
    with pytest.raises(AttributeError):
        loaded().port = 1  # type: ignore[misc]
