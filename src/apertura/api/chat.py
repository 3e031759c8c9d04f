"""The endpoints where one chats, each in its own format: the hot paths.

What it is not: the checks (`calls`) or the formats (`wire`). The rule that keeps it honest: what
differs between them is the dialect and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any

from apertura.api.calls import answer
from apertura.api.parts import Parts
from apertura.relay.exchange import Exchange
from apertura.relay.questions import ChatQuestion
from apertura.wire import openai_chat
from apertura.wire.dialects import INBOUND

BETA = re.compile(rb"[\w.,: -]{1,1000}", re.ASCII)
"""What the header by which clients ask for a format's newest features may hold."""


def complete(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/chat/completions."""
    return answer(parts, exchange, "chat", _read_chat)


def complete_text(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/completions."""
    return answer(parts, exchange, "chat", _read_text)


def create_message(parts: Parts, exchange: Exchange) -> Coroutine[Any, None, None]:
    """POST /v1/messages."""
    return answer(parts, exchange, "chat", _read_message)


def _read_chat(exchange: Exchange) -> ChatQuestion:
    request = openai_chat.parse(exchange.body)
    question = ChatQuestion("openai_chat", openai_chat, request, exchange.id)
    if request.stream and "tools" in request.members:
        question.anew = _reads_whole_calls_only(exchange)
    return question


def _read_text(exchange: Exchange) -> ChatQuestion:
    return _read("openai_completions", exchange)


def _read_message(exchange: Exchange) -> ChatQuestion:
    question = _read("anthropic_messages", exchange)
    if BETA.fullmatch(beta := exchange.headers.get(b"anthropic-beta", b"")):
        question.beta = b"anthropic-beta: %b\r\n" % beta
    return question


def _read(name: str, exchange: Exchange) -> ChatQuestion:
    speaks = INBOUND[name]
    return ChatQuestion(name, speaks, speaks.parse(exchange.body), exchange.id)


def _reads_whole_calls_only(exchange: Exchange) -> bool:
    """The contract's own Python SDK cannot read a call to a tool that comes in pieces. It sends
    just its HTTP library's name, and none of the headers by which OpenAI's SDKs are known.
    """
    agent = exchange.headers.get(b"user-agent", b"")
    return agent.startswith(b"python-httpx/") and b"x-stainless-lang" not in exchange.headers
