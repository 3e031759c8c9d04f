#!/usr/bin/env python3
"""What each stage of one whole call costs, by itself and warm: `make bench` measures the whole.

Each stage runs alone on the rig's request and reply, many times; the best of several runs counts.
A busy server is slower than the sum (its caches are colder), so these figures are for seeing which
stage weighs how much, and for comparing before and after a change on one machine.

    .venv/bin/python benchmarks/stages.py
"""

from __future__ import annotations

import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import httptools
import uvloop

from apertura.api import calls
from apertura.domain import keys
from apertura.domain.catalog import OfferRow, ProviderRow, assemble
from apertura.domain.identity import Caller
from apertura.domain.keys import Digester, KeyId, KeyPolicy, OrgId
from apertura.domain.limits import Limit
from apertura.domain.routing import Routes
from apertura.providers.base import Ask
from apertura.providers.compatible import Compatible
from apertura.relay.admission import Admission
from apertura.relay.call import Call, new_call_id
from apertura.relay.exchange import Exchange
from apertura.relay.leases import Leases
from apertura.relay.same_head import same_head
from apertura.relay.settlement import Settlement
from apertura.store import usage
from apertura.store.counters import Limits, MemoryCounters
from apertura.store.journal import Journal
from apertura.telemetry import Meters
from apertura.wire import openai_chat

TEXT = b"lorem ipsum dolor sit amet " * 28
BODY = b'{"model":"mock","temperature":0.7,"max_tokens":256,"messages":[{"role":"system",'
BODY += b'"content":"You are a helpful assistant."},{"role":"user","content":"%b"}]}' % TEXT
REPLY = b'{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1760000000,'
REPLY += (
    b'"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":"%b",'
    % (TEXT[:90])
)
REPLY += b'"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":213,'
REPLY += b'"completion_tokens":21,"total_tokens":234,"prompt_tokens_details":{"cached_tokens":0}}}'
KEY = keys.mint(bytes(keys.RANDOM_BYTES)).key.encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\n"
HEAD += b"content-type: application/json\r\nuser-agent: x\r\ncontent-length: %d\r\n\r\n"
REPLY_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
EVENT = b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":'
EVENT += b'1760000000,"model":"mock","choices":[{"index":0,"delta":{"content":"some words "},'
EVENT += b'"finish_reason":null}],"usage":null}\n\n'


class Parsed:
    """What a parser calls; it does nothing, so that the parser's own cost is seen."""

    def on_url(self, _: bytes) -> None: ...
    def on_header(self, _: bytes, __: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, _: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class NoDatabase:
    """Nothing is read or written here."""

    def on_change(self, _: Callable[[], None]) -> None: ...


def stages(folder: Path) -> dict[str, Callable[[], object]]:
    """Each stage by its name, ready to run."""
    meters = Meters(version="0")
    journal = Journal.open(folder)
    leases = Leases(NoDatabase(), "stages")  # type: ignore[arg-type]
    settlement = Settlement(NoDatabase(), journal, meters, leases)  # type: ignore[arg-type]
    provider = ProviderRow(name="mock", base_url="http://127.0.0.1:9/v1", api_key="key")
    price = {"input_usd_per_million": "2.50", "output_usd_per_million": "10"}
    offer_row = OfferRow(model="mock", provider="mock", **price)  # type: ignore[arg-type]
    routes = Routes(assemble([provider], [offer_row]))
    much = Limit(10**9, 1)
    counters = MemoryCounters(Limits(per_address=much, per_key=much, per_model=much))
    admission = Admission(counters, settlement)
    caller = Caller(key_id=KeyId("k"), org_id=OrgId("o"), key_name="n", policy=KeyPolicy())
    request, host = openai_chat.parse(BODY), Compatible(provider)
    exchange = Exchange("POST", "/v1/chat/completions", b"", {}, BODY, "127.0.0.1")
    exchange.id = new_call_id()
    call = Call(exchange.id, caller, "chat", "mock", False, 0.0, 60.0)
    call.begin(routes.route("mock", "chat").offers[0])
    call.answered(openai_chat.check_reply(REPLY).usage)  # type: ignore[arg-type]
    row = settlement._row(call)  # noqa: SLF001
    line, digest = usage.encode(row), Digester(b"p" * 32).digest
    asked, answered = httptools.HttpRequestParser(Parsed()), httptools.HttpResponseParser(Parsed())
    whole_request = HEAD % (KEY, len(BODY)) + BODY
    whole_reply = REPLY_HEAD % len(REPLY) + REPLY
    tap, many = openai_chat.listen(include_usage=True), EVENT * 20
    same = same_head(whole_request, exchange, None)  # type: ignore[arg-type]  # it is not run
    assert same is not None
    return {
        "read the request (parser alone)": lambda: asked.feed_data(whole_request),
        "read a request with the same head": lambda: same.body_of(whole_request),
        "request id": new_call_id,
        "who calls: digest": lambda: digest(KEY),
        "who calls: policy": lambda: keys.check(caller.policy, address="::1", now_ms=1),
        "what is asked: decode and check": lambda: openai_chat.parse(BODY),
        "route": lambda: routes.route("mock", "chat"),
        "limits": lambda: admission.admit(caller, "127.0.0.1", "mock"),
        "head of the reply": lambda: calls.reply_head(
            exchange, admission.admit(caller, "127.0.0.1", "mock")
        ),
        "ask: render": lambda: openai_chat.render(request, model="mock"),
        "ask: build": lambda: host.build(Ask("chat", "openai_chat", "m", False, BODY)),
        "read the reply (parser alone)": lambda: answered.feed_data(whole_reply),
        "check the reply, usage": lambda: openai_chat.check_reply(REPLY),
        "usage row and cost": lambda: settlement._row(call),  # noqa: SLF001
        "row to JSON": lambda: usage.encode(row),
        "journal": lambda: journal.settled(journal.append(line)),
        "meters": lambda: meters.call(row, line),
        "one event of a stream, alone in a read": lambda: tap.feed(EVENT),
        "20 events of a stream in one read": lambda: tap.feed(many),
    }


async def main() -> None:
    """Measure every stage and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{'stage':42}{'microseconds':>14}\n")
        for name, stage in stages(Path(folder)).items():
            best = min(timeit.repeat(stage, number=10_000, repeat=7, timer=time.thread_time))
            sys.stdout.write(f"{name:42}{best / 10_000 * 1e6:14.2f}\n")


uvloop.run(main())
