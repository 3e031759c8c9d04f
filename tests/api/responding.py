"""Asking for responses, and for what is kept of them.

first = whole(await create(gateway, "Hello", store=True))
again = await ask(gateway, "GET", f"/v1/responses/{first['id']}")
"""

from __future__ import annotations

from typing import Any

from apertura.store import identity
from tests.api.client import new_key
from tests.live import SECRET, Answer, Live
from tests.money import pay_in
from tests.speakers import SPEAKERS, named

RESPONSES = SPEAKERS["openai_responses"]
INVALID = "invalid_request_error"
GONE = (404, INVALID, "response_not_found")
UPSTREAMS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini"]


async def create(gateway: Live, said: object = "Hello", **more: Any) -> Answer:
    body = {"model": "ok", "input": said, **more}
    return await gateway.ask(gateway.request(body, path="/v1/responses"))


async def ask(gateway: Live, method: str, path: str, key: str = "") -> Answer:
    """A request without a body."""
    request = gateway.request(b"", path=path, key=key)
    return await gateway.ask(request.replace(b"POST ", f"{method} ".encode(), 1))


def whole(answer: Answer) -> dict[str, Any]:
    """The response of a reply, streamed or not."""
    assert answer.status == 200, answer.body
    found = answer.json if answer.body.startswith(b"{") else named(answer)[-1][1]["response"]
    assert isinstance(found, dict)
    return found


def contents(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Roles and texts of what a provider of chat was sent."""
    found = []
    for message in body["messages"]:
        content = message["content"]
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        found.append((message["role"], text))
    return found


async def stranger(gateway: Live) -> str:
    """A key of another organization."""
    database = gateway.application.parts.database
    org = await identity.create_organization(database, "other", random=b"x" * 13, now_ms=1)
    await pay_in(database, org.id)
    return await new_key(database, org.id, secret=SECRET)
