"""How this process runs: one table of settings, and the frozen value that it yields.

Each row of `TABLE` has a name, a kind, a default and a sentence of help; flags, environment
variables (`APERTURA_` and the name in capitals), the keys of the TOML file, the manual and its test
are all fed by it. A flag wins over the environment, that over the file, that over the default.

What it is not: the catalogue (`[[providers]]`, `[[offers]]` and `[[plans]]` of the same file are
handed on unread) or anything that changes while the process runs. The rule that keeps it honest:
`Settings` is a value handed to `app`; no module imports one, and no secret has a default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from apertura.setting_values import (
    address_of_site,
    at_least,
    limit,
    mail_server,
    percent,
    port,
    public_keys,
    seconds,
    secret,
    subnets,
    switch,
    text,
)


class SettingsError(Exception):
    """A setting cannot be used; the message names it, where it came from and what would do."""


class Setting(msgspec.Struct, frozen=True):
    """One row: `read` turns text into the value and raises ValueError with a reason."""

    name: str
    read: Callable[[str], Any]
    default: Any
    help: str
    hidden: bool = False
    """It holds a secret: it has no flag, as what stands on a command line is there for all."""


TABLE: tuple[Setting, ...] = (
    Setting("host", text, "127.0.0.1", "The address to listen on."),
    Setting("port", port, 8000, "The port to listen on; 0 lets the system choose."),
    Setting("data", text, "apertura-data", "The folder for the database and the journal."),
    Setting("config", text, "", "The TOML file with settings, providers, offers and plans."),
    Setting("dev", switch, False, "Make up secrets, a first key and a local model; print them."),
    Setting(
        "secret",
        secret,
        "",
        "The root secret, 32 bytes or more; required outside --dev.",
        hidden=True,
    ),
    Setting(
        "database",
        text,
        "",
        "The database: postgresql://user:password@host/name, or sqlite:/path; empty is a SQLite "
        "file in the data folder.",
    ),
    Setting("counters", text, "memory", "Where rate-limit windows are kept: memory."),
    Setting("workers", at_least(1), 1, "Worker processes; more than 1 needs shared counters."),
    Setting("name", text, "Apertura", "The name that pages and messages show."),
    Setting("issuer_name", text, "", "Who issues invoices; empty is `name`."),
    Setting(
        "issuer_address",
        text,
        "",
        "The issuer's address on invoices; a semicolon ends a line.",
    ),
    Setting("issuer_tax_id", text, "", "The issuer's tax or VAT number on invoices."),
    Setting("tax_label", text, "", "What the tax on invoices is called, such as VAT."),
    Setting(
        "tax_rate",
        percent,
        "0",
        "The tax inside what is paid, in percent, such as 19 or 8.25.",
    ),
    Setting(
        "receipt_keys",
        public_keys,
        (),
        "Public keys under which receipts were signed earlier, in hex, separated by commas.",
    ),
    Setting(
        "public_url",
        address_of_site,
        "",
        "The URL under which people reach this installation: links in messages begin with it.",
    ),
    Setting(
        "smtp_url",
        mail_server,
        "",
        "The server that takes mail: smtps://user:password@host:465, or smtp://host:587 (with "
        "STARTTLS); without one mail waits.",
        hidden=True,
    ),
    Setting("mail_from", text, "", "Whom mail comes from, such as billing@example.com."),
    Setting(
        "replay_memory_mb",
        at_least(1),
        64,
        "Memory for replies that may be asked for again, MiB in all.",
    ),
    Setting("replay_reply_mb", at_least(1), 4, "The largest such reply, in MiB."),
    Setting(
        "recognise_retries",
        switch,
        False,
        "Give SDKs that retry a call, as their header says, the reply of its first attempt.",
    ),
    Setting("stripe_key", text, "", "The secret key at Stripe; empty: no cards.", hidden=True),
    Setting(
        "stripe_webhook_secret",
        text,
        "",
        "The signing secret of the webhook endpoint at Stripe.",
        hidden=True,
    ),
    Setting("stripe_url", text, "", "Another server that speaks as Stripe does; for tests."),
    Setting("top_ups", text, "", "A TOML file with rules of top-ups; empty: the shipped ones."),
    Setting("responses_days", at_least(1), 30, "Days for which stored responses are kept."),
    Setting(
        "output_held",
        at_least(16),
        8_192,
        "Output tokens that a call's hold covers where its caller states no limit.",
    ),
    Setting("limit_per_address", limit, "1500/180", "Calls per caller's address, or off."),
    Setting("limit_per_key", limit, "3000/60", "Calls per API key, or off."),
    Setting("limit_per_model", limit, "500/60", "Calls per API key and model, or off."),
    Setting(
        "markup",
        at_least(0),
        0,
        "Percent that callers pay on top of the shipped prices, which are the providers' own.",
    ),
    Setting(
        "audit_minutes", at_least(0), 10, "Minutes between two audits of the books; 0 is none."
    ),
    Setting("limit_queries", limit, "30/60", "Questions about usage per admin key, or off."),
    Setting(
        "trusted_proxies",
        subnets,
        (),
        "Subnets of proxies whose X-Forwarded-For is believed, separated by commas.",
    ),
    Setting(
        "metrics_from",
        subnets,
        ("127.0.0.0/8", "::1/128"),
        "Subnets that may read /metrics, separated by commas.",
    ),
    Setting("max_body_mb", at_least(1), 32, "The largest request body, in MiB."),
    Setting("max_reply_mb", at_least(1), 64, "The largest unstreamed reply of a provider, MiB."),
    Setting("timeout_connect", seconds, 10.0, "Seconds for a connection to a provider."),
    Setting("timeout_first", seconds, 120.0, "Seconds until the first content of an attempt."),
    Setting("timeout_idle", seconds, 60.0, "Seconds between two pieces of a provider's reply."),
    Setting("timeout_total", seconds, 1800.0, "Seconds for one attempt in all."),
    Setting("timeout_call", seconds, 60.0, "Seconds for a call without an X-Timeout header."),
    Setting("timeout_request", seconds, 30.0, "Seconds between two pieces of a caller's request."),
    Setting("grace", seconds, 30.0, "Seconds that running calls get to end when we are stopped."),
    Setting(
        "grace_days",
        at_least(0),
        7,
        "Days for which a plan goes on while its renewal is not paid.",
    ),
    Setting("call_log", switch, True, "One JSON line per call on the standard output."),
    Setting("local_model", switch, True, "With --dev: start the embedded model."),
)
_BY_NAME = {setting.name: setting for setting in TABLE}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the table yields; `providers`, `offers` and `plans` are the file's tables, unread."""

    host: str
    port: int
    data: str
    config: str
    dev: bool
    secret: str
    database: str
    counters: str
    workers: int
    name: str
    issuer_name: str
    issuer_address: str
    issuer_tax_id: str
    tax_label: str
    tax_rate: str
    receipt_keys: tuple[str, ...]
    public_url: str
    stripe_key: str
    stripe_webhook_secret: str
    stripe_url: str
    top_ups: str
    smtp_url: str
    mail_from: str
    replay_memory_mb: int
    replay_reply_mb: int
    recognise_retries: bool
    responses_days: int
    output_held: int
    limit_per_address: str
    limit_per_key: str
    limit_per_model: str
    markup: int
    audit_minutes: int
    limit_queries: str
    trusted_proxies: tuple[str, ...]
    metrics_from: tuple[str, ...]
    max_body_mb: int
    max_reply_mb: int
    timeout_connect: float
    timeout_first: float
    timeout_idle: float
    timeout_total: float
    timeout_call: float
    timeout_request: float
    grace: float
    grace_days: int
    call_log: bool
    local_model: bool
    providers: tuple[dict[str, Any], ...] = ()
    offers: tuple[dict[str, Any], ...] = ()
    plans: tuple[dict[str, Any], ...] = ()


def load(
    *, flags: Mapping[str, str], environment: Mapping[str, str], read_file: Callable[[str], str]
) -> Settings:
    """Assemble the settings. `read_file` gives a file's text (or raises OSError).

    Raises: SettingsError, naming the setting and its place.
    """
    path = flags.get("config") or environment.get("APERTURA_CONFIG", "")
    file = _parse_file(path, read_file) if path else {}
    providers, offers = file.pop("providers", []), file.pop("offers", [])
    plans = file.pop("plans", [])
    for name in file:
        if name not in _BY_NAME:
            raise SettingsError(f"{path}: there is no setting {name!r}{_nearest(name)}")
    given = {s.name: _value(s, flags, environment, file, path) for s in TABLE}
    rows: dict[str, Any] = {
        "providers": tuple(providers),
        "offers": tuple(offers),
        "plans": tuple(plans),
    }
    settings = Settings(**(given | rows))
    return _consistent(settings)


def database_url(settings: Settings) -> str:
    """The database of these settings: the one named, or the data folder's own file."""
    return settings.database or f"sqlite:{settings.data}/apertura.db"


def _consistent(settings: Settings) -> Settings:
    if settings.counters != "memory":
        raise SettingsError(
            f"counters={settings.counters!r}: only counters in memory are built yet"
        )
    if settings.workers > 1:
        raise SettingsError(
            f"workers={settings.workers}: rate limits are counted in each worker's memory, so "
            "several workers would admit several times the limit; run one worker"
        )
    if settings.smtp_url and not settings.mail_from:
        raise SettingsError("smtp_url is set but mail_from is not: say whom mail comes from")
    return settings


def _parse_file(path: str, read_file: Callable[[str], str]) -> dict[str, Any]:
    try:
        file = tomllib.loads(read_file(path))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    for name in ("providers", "offers", "plans"):
        rows = file.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SettingsError(f"{path}: write each of the {name} as a table [[{name}]]")
    return file


def _value(
    setting: Setting,
    flags: Mapping[str, str],
    environment: Mapping[str, str],
    file: Mapping[str, Any],
    path: str,
) -> Any:
    variable = f"APERTURA_{setting.name.upper()}"
    if setting.name in flags:
        place, text = f"--{setting.name.replace('_', '-')}", flags[setting.name]
    elif environment.get(variable):
        place, text = variable, environment[variable]
    elif setting.name in file:
        place, text = f"{path}: {setting.name}", _as_text(file[setting.name])
    else:
        return setting.default
    try:
        return setting.read(text)
    except ValueError as error:
        raise SettingsError(f"{place}: {error}") from None


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
