"""Writes the pages of docs/reference from the code that they describe.

    python tools/reference.py           write them
    python tools/reference.py --check   say which are stale, and fail if one is

What a row is called, holds and defaults to comes from the code; what code cannot say (what an error
code means, say) stands in `reference_text.py`. The rule that keeps it honest: a name that only
the code or only a table has is an error here, never a gap in the manual.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from dialect_table import page as dialects_page
from msgspec import inspect as shapes
from reference_text import (
    ARGUMENTS,
    CODES,
    ENDPOINTS,
    EVENTS,
    EXAMPLE,
    FIELDS,
    KINDS,
    REFUSED_HOW,
    REPLY_HEADERS,
    REQUEST_HEADERS,
    SAMPLES,
    TREATED,
)

from apertura import errors, urls
from apertura.cli.main import _parser
from apertura.errors import AperturaError
from apertura.settings import TABLE, Setting
from apertura.store.usage import UsageRow, encode
from apertura.telemetry import Meters
from apertura.wire.embeddings import _Body as EmbeddingBody
from apertura.wire.openai_request import _OWN, _PROTECTED, parse
from apertura.wire.openai_shapes import PARTS, Body, Part
from apertura.wire.provider_errors import _CODES

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "apertura"
PAGES_FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by tools/reference.py from the code. Change it there. -->\n\n"

NOUNS: dict[type, str] = {
    shapes.IntType: "integer",
    shapes.FloatType: "number",
    shapes.DecimalType: "number",
    shapes.StrType: "text",
    shapes.BoolType: "true or false",
}


class Mismatch(Exception):
    """The code and a table of this file name different things."""


def settings_page() -> str:
    """docs/reference/settings.md."""
    rows = [_setting_row(setting) for setting in TABLE]
    return (
        "# Settings\n\n"
        "A flag wins over the environment, the environment over the file, the file over the "
        "default. The file is the TOML file that `--config` or `APERTURA_CONFIG` names; its keys "
        "are the names below. Besides them it holds `[[providers]]` and `[[offers]]`: see "
        "[providers and offers](../guide/providers-and-offers.md).\n\n"
        "A switch takes `on` or `off`; a limit takes `COUNT/SECONDS` or `off`; a list is separated "
        "by commas, or is a list in TOML. A value that cannot be used stops the start with a "
        "sentence that names it.\n\n"
        + _table(("Name", "Environment", "Flag", "Default", "Meaning"), rows)
        + "\nSecrets have no flag: what stands on a command line can be read by every user of "
        "the machine.\n"
    )


def _setting_row(setting: Setting) -> tuple[str, ...]:
    flag = "" if setting.hidden else f"`--{setting.name.replace('_', '-')}`"
    return (
        f"`{setting.name}`",
        f"`APERTURA_{setting.name.upper()}`",
        flag,
        _shown(setting.default),
        setting.help,
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    text = ",".join(value) if isinstance(value, tuple) else f"{value}"
    return f"`{text.removesuffix('.0')}`" if text else ""


def errors_page() -> str:
    """docs/reference/errors.md."""
    _same("error codes", _codes(), CODES)
    rows = [
        (f"`{kind.__name__}`", str(kind.status), f"`{kind.type}`", f"`{kind.default_code}`", said)
        for kind in _error_classes()
        if (said := " ".join((kind.__doc__ or "").split()))
    ]
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return (
        "# Errors\n\n"
        "Every error has the same body, also for paths that do not exist:\n\n"
        '```json\n{"error": {"message": "`messages` is required.", "type": '
        '"invalid_request_error",\n           "code": "missing_parameter", "param": "messages"}}'
        "\n```\n\n"
        "`param` is there only where a parameter is at fault. Messages may change; `type`, `code` "
        "and the status do not. After the first content of a stream the status is already sent: "
        "the same body comes as the last event, and no `[DONE]` follows it.\n\n"
        "A provider's own words are passed on only where they speak of the caller's request (its "
        "400 and 422), without keys, addresses or long data.\n\n"
        f"## The tree\n\n```text\n{inspect.cleandoc(tree)}\n```\n\n"
        + _table(("Class", "Status", "Type", "Default code", "When"), rows)
        + "\n`AperturaError` is the root of the tree. Bytes that are no HTTP at all, or headers "
        "that are too large, are refused with 400 and 431 in the same body.\n\n## The codes\n\n"
        + _table(("Code", "Meaning"), [(f"`{code}`", text) for code, text in sorted(CODES.items())])
    )


def _error_classes() -> Iterator[type[AperturaError]]:
    classes = (value for value in vars(errors).values() if isinstance(value, type))
    return (
        kind for kind in classes if issubclass(kind, AperturaError) and kind is not AperturaError
    )


def _codes() -> set[str]:
    """Every code that the source can put into an error."""
    found = {kind.default_code for kind in _error_classes()} | set(_CODES.values())
    for tree in _trees():
        for node in ast.walk(tree):
            named = isinstance(node, ast.keyword) and node.arg == "code"
            if named or (isinstance(node, ast.Assign) and _is_error_code(node.targets[0])):
                found |= set(_texts(node.value))
            elif isinstance(node, ast.Assign):
                found |= set(_codes_of_table(tree, node))
    return found - {""}


def _is_error_code(target: ast.expr) -> bool:
    name = getattr(target, "attr", getattr(target, "id", ""))
    return name in {"error_code", "default_code"}


def _codes_of_table(tree: ast.Module, node: ast.Assign) -> Iterator[str]:
    """Of `message, code = TABLE[…]`: what the module's table holds in the place of `code`."""
    [target], source = node.targets[:1], node.value
    if not (isinstance(target, ast.Tuple) and isinstance(source, ast.Subscript)):
        return
    names = [getattr(one, "id", "") for one in target.elts]
    if "code" not in names or not isinstance(source.value, ast.Name):
        return
    table = _table_called(tree, source.value.id)
    for row in table.values:
        if not isinstance(row, ast.Tuple) or len(row.elts) != len(names):
            raise Mismatch(f"a row of {source.value.id} has other parts than {', '.join(names)}")
        yield from _texts(row.elts[names.index("code")])


def _table_called(tree: ast.Module, name: str) -> ast.Dict:
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            [target] = node.targets[:1]
        if isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Dict):
            return node.value
    raise Mismatch(f"the codes in {name} cannot be read: it is no dict of its module")


def _trees() -> Iterator[ast.Module]:
    """The syntax trees of the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        if "demo" not in path.parts:  # which has the errors of another company's interface
            yield ast.parse(path.read_text())


def _nodes() -> Iterator[Any]:
    """Every node of them."""
    return (node for tree in _trees() for node in ast.walk(tree))


def _texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def commands_page() -> str:
    """docs/reference/commands.md."""
    intro = (
        "# Commands\n\n"
        "Each command acts on the database that the settings name, whether a server runs or not; "
        "what it changes takes effect in a running server at once. The exit code is 0, 1 for an "
        "error (one sentence on the error output) or a failed check, and 2 for wrong usage. "
        "With `--json` the output is one JSON document.\n\n"
        "`apertura --version` prints the version; `--help` works everywhere.\n"
    )
    parts = [_command(*found) for found in _commands(_parser(), "apertura")]
    return "\n".join([intro, *parts])


def _commands(
    parser: argparse.ArgumentParser, name: str, said: str = ""
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    nested = [a for a in _actions(parser) if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001 # so is its class
    if not nested:
        yield name, said, parser
    for action in nested:
        helps = {entry.dest: entry.help or "" for entry in action._choices_actions}  # noqa: SLF001 # so are they
        for verb, inner in action.choices.items():
            yield from _commands(inner, f"{name} {verb}", helps[verb])


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 # argparse has no public way to look


def _command(name: str, said: str, parser: argparse.ArgumentParser) -> str:
    usage, rows, settings = name, [], []
    for action in _actions(parser):
        if action.dest.startswith("setting_"):
            settings.append(f"`{action.option_strings[0]}`")
        elif action.dest != "help":
            flag, shown = _argument(action)
            usage += f" {shown if action.required else f'[{shown}]'}"
            rows.append((f"`{flag}`", _sentence(action.help or ARGUMENTS[action.dest])))
    out = f"## {name}\n\n{_sentence(said)}\n\n```text\n{usage}\n```\n"
    if rows:
        out += "\n" + _table(("Argument", "Meaning"), rows)
    everything = len(settings) > len(TABLE) // 2
    shown = "all of [the settings](settings.md)" if everything else ", ".join(settings)
    return out + f"\nSettings as flags: {shown}.\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _argument(action: argparse.Action) -> tuple[str, str]:
    name = action.option_strings[0] if action.option_strings else ""
    if action.nargs == 0:
        return name, name
    value = "|".join(action.choices) if action.choices else action.metavar or action.dest.upper()
    return (name or str(value)), f"{name} {value}".strip()


def endpoints_page() -> str:
    """docs/reference/endpoints.md."""
    api = [("POST", path) for path in urls.HOT]
    api += [(method, path) for path, methods in urls.API.items() for method in methods]
    own = [(method, path) for path, methods in urls.OWN.items() for method in methods]
    managing = [row for row in own if row[1] in urls.MANAGEMENT]
    others = [row for row in own if row[1] not in urls.MANAGEMENT]
    _same("endpoints", [" ".join(_as_shown(row)) for row in api + own], ENDPOINTS)
    bases = ", ".join(f"`{base or '/'}`" for base in urls.BASES)
    return (
        "# Endpoints\n\n"
        f"The paths of the API stand below each of the base URLs {bases}, so that clients that are "
        "configured with any of them work. They need an API key.\n\n"
        + _table(("Method", "Path below a base", "What it is"), list(map(_endpoint, api)))
        + "\nThese need an [admin key](../guide/admin-api.md) of the organization:\n\n"
        + _table(("Method", "Path", "What it is"), list(map(_endpoint, managing)))
        + "\nThese stand at the root; but for Gemini's and `/api/user` they need no key:\n\n"
        + _table(("Method", "Path", "What it is"), list(map(_endpoint, others)))
        + "\n`GET` also means `HEAD`. Any other path is "
        "404 with the code `endpoint_not_found`.\n\n"
        "What chat and embeddings take: [parameters](parameters.md). What can go wrong: "
        "[errors](errors.md).\n\n## Headers of a request\n\n"
        + _table(("Header", "Meaning"), REQUEST_HEADERS)
        + "\n## Headers of a reply\n\n"
        + _table(("Header", "Meaning"), REPLY_HEADERS)
        + "\nThe rate limit's headers come with every reply to an admitted call, and with 429. A "
        "stream also says `cache-control: no-cache` and `x-accel-buffering: no`, so that proxies "
        "pass each event on at once.\n"
    )


def _endpoint(row: tuple[str, str]) -> tuple[str, str, str]:
    method, path = _as_shown(row)
    return method, f"`{path}`", ENDPOINTS[f"{method} {path}"]


def _as_shown(row: tuple[str, str]) -> tuple[str, str]:
    method, path = row
    path = path.replace(":path", "")
    return method, path.replace("{id}", "{id}:{verb}") if (method, path) in VERBS else path


VERBS = {("POST", "/models/{id}"), ("POST", "/v1beta/models/{id}")}
"""Paths whose end is a model and what it shall do."""


def parameters_page() -> str:
    """docs/reference/parameters.md."""
    _same("parameters of the gateway's own", _OWN, SAMPLES)
    chat = [(f"`{f.name}`", _kind(f.type), _treatment(f.name)) for f in _fields(Body)]
    vectors = [
        (f"`{f.name}`", KINDS.get(f.name) or _kind(f.type), _treatment(f.name))
        for f in _fields(EmbeddingBody)
    ]
    parts = [(f"`{f.name}`", _kind(f.type)) for f in _fields(Part) if f.name in PARTS]
    roles = [f"`{t.tag}`" for t in _alternatives(_fields(Body)[1].type.item_type)]
    headings = ("Parameter", "Values", "What becomes of it")
    protected = ", ".join(f"`{name}`" for name in sorted(_PROTECTED))
    return (
        "# Parameters\n\n"
        "What stands here is checked before a call leaves; a value that is not allowed is 400 with "
        "the parameter's name in `param`. `null` is the same as leaving a parameter out. "
        "**A parameter that is not listed is passed on as it came**, and is the provider's to "
        "accept or refuse.\n\n## Chat\n\n"
        "`POST /v1/chat/completions`. `model` and `messages` are required.\n\n"
        + _table(headings, chat)
        + "\n`extra_body` is for what clients cannot say otherwise. It cannot replace a parameter "
        f"that stands beside it, and may not bring {protected}.\n\n"
        f"A message has one of the roles {', '.join(roles)}. Its content is text or a list of "
        "parts. A part has a `type`, and the member of that name; parts of other types are passed "
        "on.\n\n"
        + _table(("Part", "Values"), parts)
        + "\nThe prefix `apertis/` of a model's name is taken off.\n\n## Embeddings\n\n"
        "`POST /v1/embeddings`. `model` and `input` are required.\n\n"
        + _table(headings, vectors)
        + "\n`input` is a text, a list of at most 2,048 texts, a list of token numbers, or a list "
        "of such lists.\n"
    )


def _treatment(name: str) -> str:
    if name in TREATED:
        return TREATED[name]
    if name not in _OWN:
        return "passed on"
    body = {"model": "a", "messages": [{"role": "user", "content": "b"}], name: SAMPLES[name]}
    try:
        members = parse(msgspec.json.encode(body)).members
    except errors.BadRequest as refusal:
        if refusal.param != name:
            raise Mismatch(f"{name} is refused as {refusal.param}") from None
        return REFUSED_HOW.get(name, "refused by name: not offered yet")
    if name in members:
        raise Mismatch(f"{name} is passed on")
    return "taken out: it speaks to the gateway"


def _fields(struct: type) -> Sequence[Any]:
    info: Any = shapes.type_info(struct)
    return list(info.fields)


def _alternatives(kind: Any) -> list[Any]:
    kinds = kind.types if isinstance(kind, shapes.UnionType) else (kind,)
    return [k for k in kinds if not isinstance(k, shapes.NoneType)]


def _kind(kind: Any) -> str:
    """A type in plain words."""
    options = _alternatives(kind)
    if len(options) > 1:
        if all(isinstance(o, shapes.StructType) for o in options):
            return "messages"
        return " or ".join(map(_kind, options))
    return _plain(options[0])


def _plain(kind: Any) -> str:
    match kind:
        case shapes.LiteralType(values=values):
            return ", ".join(f"`{v}`" for v in values)
        case shapes.ListType(item_type=item, max_length=most):
            return f"list{f' of at most {most:,}' if most else ''}: {_kind(item)}"
        case shapes.StructType(fields=fields):
            return "object: " + "; ".join(f"`{f.name}` {_kind(f.type)}" for f in fields)
        case shapes.DictType(value_type=shapes.FloatType() as value):
            return f"object of numbers{_range(value)}"
        case shapes.IntType() | shapes.FloatType():
            return NOUNS[type(kind)] + _range(kind)
        case _:
            return NOUNS.get(type(kind), "object")


def _range(kind: Any) -> str:
    low, high = (_number(bound) for bound in (kind.ge, kind.le))
    if low and high:
        return f", {low} to {high}"
    return f", at least {low}" if low else ""


def _number(bound: float | None) -> str:
    """Only bounds that say something: not those of the integer's size."""
    return "" if bound is None or abs(bound) >= 2**31 - 1 else f"{round(bound):,}"


def log_line_page() -> str:
    """docs/reference/log-line.md."""
    _same("fields of the call log", UsageRow.__struct_fields__, FIELDS)
    _same("events of the process", _log_events(), EVENTS)
    example = UsageRow(**EXAMPLE)
    line = encode(example).decode().replace(',"', ',\n "')
    rows = [(f"`{name}`", FIELDS[name]) for name in UsageRow.__struct_fields__]
    return (
        "# The log\n\n"
        "Each call that was let in ends as one JSON line on the standard output, unless the "
        "setting `call_log` is off. The same line is what the journal keeps and what becomes a row "
        "of the table `usage`. It never holds a prompt, a reply or a key. (Here with line "
        "breaks.)\n\n"
        f"```json\n{line}\n```\n\n"
        + _table(("Field", "Meaning"), rows)
        + "\nCalls that were refused before that (a bad key, a limit, a wrong parameter) have no "
        "line and no row.\n\n## Events of the process\n\n"
        "One JSON line each on the error output, with `time` and `event`:\n\n"
        + _table(("Event", "Meaning"), [(f"`{name}`", EVENTS[name]) for name in sorted(EVENTS)])
    )


def _log_events() -> set[str]:
    return {
        node.args[0].value
        for node in _nodes()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "log" and node.args
    }


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    return (
        "# Metrics\n\n"
        "`GET /metrics` answers in Prometheus' text format, to the addresses of the setting "
        "`metrics_from` (this machine, unless changed). Metrics live in memory and begin at zero "
        "with each start; for exact sums there are the books.\n\n"
        + _table(("Metric", "Kind", "Labels", "Meaning"), list(_metrics()))
        + "\nA histogram has the usual `_bucket`, `_count` and `_sum`; its times are in seconds. "
        "The figures per call hold the calls of [the log](log-line.md), so a refused call is only "
        "in `apertura_calls_refused`.\n"
    )


def _metrics() -> Iterator[tuple[str, str, str, str]]:
    meters = Meters(version="0")
    for name, text in _gauges():
        meters.gauge(name, text, lambda: 0.0)
    meters.call(UsageRow(**EXAMPLE), b"{}")
    for family in meters.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = sorted({label for s in family.samples for label in s.labels} - {"le"})
        yield f"`{name}`", family.type, ", ".join(f"`{n}`" for n in labels), family.documentation


def _gauges() -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse((SOURCE / "app.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".gauge"):
            name, text = (ast.literal_eval(argument) for argument in node.args[:2])
            yield name, text


def _same(what: str, code: Iterable[str], table: Iterable[str]) -> None:
    """Raises: Mismatch, naming what only one of the two has."""
    if different := set(code) ^ set(table):
        raise Mismatch(f"{what}: only in the code or only in tools/reference_text.py: {different}")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in cells)


PAGES: dict[str, Callable[[], str]] = {
    "dialects.md": dialects_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "endpoints.md": endpoints_page,
    "parameters.md": parameters_page,
    "log-line.md": log_line_page,
    "metrics.md": metrics_page,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with --check compare them; 1 if one is stale."""
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is stale")
    check = parser.parse_args(arguments).check
    stale = []
    for name, make in PAGES.items():
        path, text = PAGES_FOLDER / name, NOTE + make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run python tools/reference.py", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
