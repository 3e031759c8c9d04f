"""How this process runs: one table of settings, and the frozen value that it yields.

Each row of `TABLE` has a name, a kind, a default and a sentence of help; flags, environment
variables (`APERTURA_` and the name in capitals), the keys of the TOML file, the manual and its test
are all fed by it. A flag wins over the environment, that over the file, that over the default.

What it is not: the catalogue (`[[providers]]` and `[[offers]]` of the same file are handed on
unread) or anything that changes while the process runs. The rule that keeps it honest: `Settings`
is a value handed to `app`; no module imports one, and no secret has a default.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class SettingsError(Exception):
    """A setting cannot be used; the message names it, where it came from and what would do."""


class Setting(msgspec.Struct, frozen=True):
    """One row: `read` turns text into the value and raises ValueError with a reason."""

    name: str
    read: Callable[[str], Any]
    default: Any
    help: str


def _text(text: str) -> str:
    return text


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _at_least(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if (number := _number(text)) < low:
            raise ValueError(f"{number} is less than {low}")
        return number

    return read


def _port(text: str) -> int:
    if not 0 <= (port := _number(text)) <= 65_535:
        raise ValueError(f"{port} is not a port (0 to 65535)")
    return port


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None
    if not 0 < seconds < 1e6:
        raise ValueError(f"{text} seconds is not between 0 and a million")
    return seconds


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither on nor off")


def _limit(text: str) -> str:
    said = text.strip().lower()
    if said != "off" and not re.fullmatch("0*[1-9][0-9]*/0*[1-9][0-9]*", said):
        raise ValueError(f"{text!r} is neither COUNT/SECONDS, such as 1500/180, nor off")
    return said


def _secret(text: str) -> str:
    if len(text.encode()) < 32:
        raise ValueError("it is shorter than 32 bytes; `openssl rand -hex 32` makes a good one")
    return text


def _subnets(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        ipaddress.ip_network(part, strict=False)
    return parts


TABLE: tuple[Setting, ...] = (
    Setting("host", _text, "127.0.0.1", "The address to listen on."),
    Setting("port", _port, 8000, "The port to listen on; 0 lets the system choose."),
    Setting("data", _text, "apertura-data", "The folder for the database and the journal."),
    Setting("config", _text, "", "The TOML file with settings, providers and offers."),
    Setting("dev", _switch, False, "Make up secrets, a first key and a local model; print them."),
    Setting("secret", _secret, "", "The root secret, 32 bytes or more; required outside --dev."),
    Setting(
        "database",
        _text,
        "",
        "The database: postgresql://user:password@host/name, or sqlite:/path; empty is a SQLite "
        "file in the data folder.",
    ),
    Setting("counters", _text, "memory", "Where rate-limit windows are kept: memory."),
    Setting("workers", _at_least(1), 1, "Worker processes; more than 1 needs shared counters."),
    Setting("name", _text, "Apertura", "The name that pages and messages show."),
    Setting("responses_days", _at_least(1), 30, "Days for which stored responses are kept."),
    Setting(
        "output_held",
        _at_least(16),
        8_192,
        "Output tokens that a call's hold covers where its caller states no limit.",
    ),
    Setting("limit_per_address", _limit, "1500/180", "Calls per caller's address, or off."),
    Setting("limit_per_key", _limit, "3000/60", "Calls per API key, or off."),
    Setting("limit_per_model", _limit, "500/60", "Calls per API key and model, or off."),
    Setting(
        "trusted_proxies",
        _subnets,
        (),
        "Subnets of proxies whose X-Forwarded-For is believed, separated by commas.",
    ),
    Setting(
        "metrics_from",
        _subnets,
        ("127.0.0.0/8", "::1/128"),
        "Subnets that may read /metrics, separated by commas.",
    ),
    Setting("max_body_mb", _at_least(1), 32, "The largest request body, in MiB."),
    Setting("max_reply_mb", _at_least(1), 64, "The largest unstreamed reply of a provider, MiB."),
    Setting("timeout_connect", _seconds, 10.0, "Seconds for a connection to a provider."),
    Setting("timeout_first", _seconds, 120.0, "Seconds until the first content of an attempt."),
    Setting("timeout_idle", _seconds, 60.0, "Seconds between two pieces of a provider's reply."),
    Setting("timeout_total", _seconds, 1800.0, "Seconds for one attempt in all."),
    Setting("timeout_call", _seconds, 60.0, "Seconds for a call without an X-Timeout header."),
    Setting("timeout_request", _seconds, 30.0, "Seconds between two pieces of a caller's request."),
    Setting("grace", _seconds, 30.0, "Seconds that running calls get to end when we are stopped."),
    Setting("call_log", _switch, True, "One JSON line per call on the standard output."),
    Setting("local_model", _switch, True, "With --dev: start the embedded model."),
)
_BY_NAME = {setting.name: setting for setting in TABLE}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the table yields; `providers` and `offers` are the file's tables, still unread."""

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
    responses_days: int
    output_held: int
    limit_per_address: str
    limit_per_key: str
    limit_per_model: str
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
    call_log: bool
    local_model: bool
    providers: tuple[dict[str, Any], ...] = ()
    offers: tuple[dict[str, Any], ...] = ()


def load(
    *, flags: Mapping[str, str], environment: Mapping[str, str], read_file: Callable[[str], str]
) -> Settings:
    """Assemble the settings. `read_file` gives a file's text (or raises OSError).

    Raises: SettingsError, naming the setting and its place.
    """
    path = flags.get("config") or environment.get("APERTURA_CONFIG", "")
    file = _parse_file(path, read_file) if path else {}
    providers, offers = file.pop("providers", []), file.pop("offers", [])
    for name in file:
        if name not in _BY_NAME:
            raise SettingsError(f"{path}: there is no setting {name!r}{_nearest(name)}")
    values = {s.name: _value(s, flags, environment, file, path) for s in TABLE}
    settings = Settings(**values, providers=tuple(providers), offers=tuple(offers))
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
    return settings


def _parse_file(path: str, read_file: Callable[[str], str]) -> dict[str, Any]:
    try:
        file = tomllib.loads(read_file(path))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None
    for name in ("providers", "offers"):
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
