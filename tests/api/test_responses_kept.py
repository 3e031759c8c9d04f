"""What callers of /v1/responses asked to keep: found, gone on from, deleted, by its owners."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from apertura.errors import Unavailable
from apertura.store import responses
from tests.api.responding import (
    GONE,
    INVALID,
    RESPONSES,
    UPSTREAMS,
    ask,
    contents,
    create,
    stranger,
    whole,
)
from tests.live import live
from tests.speakers import named
from tests.wall import Call, Talk, Wall
from tests.wall.tongues import dump, played, response

WORDS = "w0 w1 w2 "


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
async def test_what_was_stored_is_found_again(
    wall: Wall, tmp_path: Path, lane: bool, upstream: str, stream: bool
) -> None:
    """At once, as it was answered; and its input, as items."""
    async with live(wall, tmp_path, lane=lane, dialect=upstream) as gateway:
        said = whole(await create(gateway, store=True, stream=stream, metadata={"a": "b"}))
        again = await ask(gateway, "GET", f"/v1/responses/{said['id']}")
        items = await ask(gateway, "GET", f"/responses/{said['id']}/input_items")
        [row] = await gateway.rows()
    assert again.json["output"] == said["output"]
    assert (again.json["id"], again.json["store"]) == (said["id"], True)
    assert items.json["object"] == "list"
    [item] = items.json["data"]
    assert (item["type"], item["role"]) == ("message", "user")
    assert item["content"] == [{"type": "input_text", "text": "Hello"}]
    assert (row.outcome, row.cost) == ("answered", 9 * 1000 + 3 * 2000)


@pytest.mark.parametrize("store", [False, None])
async def test_what_was_not_stored_is_not_found(
    wall: Wall, tmp_path: Path, store: bool | None
) -> None:
    """Neither read, nor gone on from, nor deleted, nor in the database."""
    more = {} if store is None else {"store": store}
    async with live(wall, tmp_path) as gateway:
        for stream in (False, True):
            found = whole(await create(gateway, stream=stream, **more))["id"]
            assert (await ask(gateway, "GET", f"/v1/responses/{found}")).error == GONE
            assert (await ask(gateway, "DELETE", f"/v1/responses/{found}")).error == GONE
            assert (await create(gateway, previous_response_id=found)).error == GONE
        assert await gateway.application.parts.database.read("SELECT id FROM responses") == []


@pytest.mark.parametrize(
    "streams", [(False, False, False), (True, True, True), (False, True, False)]
)
async def test_a_chain_of_responses(
    wall: Wall, tmp_path: Path, lane: bool, streams: tuple[bool, ...]
) -> None:
    """Each goes on from all before it, instructions left out, and says from what."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        before: str | None = None
        for number, stream in enumerate(streams):
            asked = {"store": True, "stream": stream, "instructions": f"Rule {number}."}
            if before is not None:
                asked["previous_response_id"] = before
            answer = await create(gateway, f"Turn {number}.", **asked)
            said = whole(answer)
            assert said["previous_response_id"] == before
            if stream:
                assert named(answer)[0][1]["response"]["previous_response_id"] == before
            kept = await ask(gateway, "GET", f"/v1/responses/{said['id']}")
            assert kept.json["previous_response_id"] == before
            before = said["id"]
        assert len(await gateway.rows()) == 3
    last = wall.calls("ok")[-1].body
    assert contents(last) == [
        ("system", "Rule 2."),
        ("user", "Turn 0."),
        ("assistant", WORDS),
        ("user", "Turn 1."),
        ("assistant", WORDS),
        ("user", "Turn 2."),
    ]


@pytest.mark.parametrize("upstream", ["anthropic_messages", "gemini", "openai_responses"])
async def test_a_chain_at_other_providers(wall: Wall, tmp_path: Path, upstream: str) -> None:
    """What is said there is the whole history; no provider hears of an id of ours."""
    async with live(wall, tmp_path, dialect=upstream) as gateway:
        first = whole(await create(gateway, "One.", store=True))
        second = whole(await create(gateway, "Two.", previous_response_id=first["id"]))
    sent = wall.calls("ok")[-1].body
    assert "previous_response_id" not in sent
    turns = sent.get("messages") or sent.get("contents") or sent["input"]
    answered = "model" if upstream == "gemini" else "assistant"
    assert [turn["role"] for turn in turns] == ["user", answered, "user"]
    if upstream != "openai_responses":
        assert second["previous_response_id"] == first["id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_response_that_passes_says_what_it_goes_on_from(
    wall: Wall, tmp_path: Path, stream: bool
) -> None:
    """As one that is translated does; and that it is stored."""
    async with live(wall, tmp_path, dialect="openai_responses") as gateway:
        first = whole(await create(gateway, "One.", store=True, stream=stream))
        asked = {"previous_response_id": first["id"], "stream": stream}
        second = whole(await create(gateway, "Two.", **asked))
    assert second["previous_response_id"] == first["id"]
    assert (first["store"], second["store"]) == (True, False)


async def test_two_may_go_on_from_one(wall: Wall, tmp_path: Path) -> None:
    """Neither hears of the other."""
    async with live(wall, tmp_path) as gateway:
        first = whole(await create(gateway, "One.", store=True))["id"]
        for word in ("Left.", "Right."):
            await create(gateway, word, store=True, previous_response_id=first)
    said = [contents(call.body) for call in wall.calls("ok")]
    assert [each[-1][1] for each in said] == ["One.", "Left.", "Right."]
    assert [len(each) for each in said] == [1, 3, 3]


async def test_a_tool_is_called_over_two_responses(wall: Wall, tmp_path: Path) -> None:
    """The call is kept, and its result goes to a provider as that call's."""
    wall.behaviours["said"] = played("written-tool-calls")
    wall.script("ok", "said", "ok")
    tools = [{"type": "function", "name": n, "parameters": {"type": "object"}} for n in "ab"]
    async with live(wall, tmp_path) as gateway:
        first = whole(await create(gateway, "Weather?", store=True, stream=True, tools=tools))
        calls = [item for item in first["output"] if item["type"] == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": "fine"}
            for call in calls
        ]
        second = whole(await create(gateway, results, previous_response_id=first["id"]))
    assert len(calls) == 2
    assert second["output"][0]["content"][0]["text"] == WORDS
    sent = wall.calls("ok")[-1].body["messages"]
    assert [each["role"] for each in sent] == ["user", "assistant", "tool", "tool"]
    asked = [call["id"] for call in sent[1]["tool_calls"]]
    assert asked == [each["tool_call_id"] for each in sent[2:]] == ["call_a", "call_b"]


async def test_an_item_is_referred_to(wall: Wall, tmp_path: Path) -> None:
    """By the id that it had in an answer that was kept; one that is not kept is refused."""
    async with live(wall, tmp_path) as gateway:
        first = whole(await create(gateway, "One.", store=True))
        reference = {"type": "item_reference", "id": first["output"][0]["id"]}
        user = {"role": "user", "content": "Two."}
        second = whole(await create(gateway, [reference, user], store=True))
        items = await ask(gateway, "GET", f"/v1/responses/{second['id']}/input_items")
        unknown = await create(gateway, [{"type": "item_reference", "id": "msg_none"}, user])
    assert contents(wall.calls("ok")[1].body) == [("assistant", WORDS), ("user", "Two.")]
    assert [item["role"] for item in items.json["data"]] == ["assistant", "user"]
    assert unknown.error == (400, INVALID, "invalid_parameter")
    assert unknown.json["error"]["param"] == "input[0].id"
    assert len(wall.calls("ok")) == 2


async def test_what_is_deleted_is_gone(wall: Wall, tmp_path: Path, lane: bool) -> None:
    """And so is what goes on from it."""
    async with live(wall, tmp_path, lane=lane) as gateway:
        first = whole(await create(gateway, "One.", store=True))["id"]
        more = {"store": True, "previous_response_id": first}
        second = whole(await create(gateway, "Two.", **more))["id"]
        deleted = await ask(gateway, "DELETE", f"/v1/responses/{first}")
        assert deleted.json == {"id": first, "object": "response", "deleted": True}
        for method, path in [("GET", ""), ("GET", "/input_items"), ("DELETE", "")]:
            assert (await ask(gateway, method, f"/v1/responses/{first}{path}")).error == GONE
        assert (await ask(gateway, "GET", f"/v1/responses/{second}")).status == 200
        for before in (first, second):
            answer = await create(gateway, "Three.", previous_response_id=before)
            assert answer.error == GONE
            assert answer.json["error"]["param"] == "previous_response_id"
        assert len(await gateway.rows()) == 2
    assert len(wall.calls("ok")) == 2


async def test_what_has_expired_is_gone(wall: Wall, tmp_path: Path) -> None:
    """Before it is purged, and after; the next that is kept purges it."""
    async with live(wall, tmp_path, responses_days=3) as gateway:
        database = gateway.application.parts.database
        found = whole(await create(gateway, store=True))["id"]
        [(created, expires)] = await database.read("SELECT created_at, expires_at FROM responses")
        assert expires - created == 3 * 86_400_000
        assert abs(created - time.time() * 1000) < 60_000

        async def age(tx: Any) -> None:
            await tx.execute("UPDATE responses SET expires_at = ?", (created,))

        await database.write(age)
        assert (await ask(gateway, "GET", f"/v1/responses/{found}")).error == GONE
        assert (await create(gateway, previous_response_id=found)).error == GONE
        newer = whole(await create(gateway, store=True))["id"]
        assert await database.read("SELECT id FROM responses") == [(newer,)]


async def test_another_organization_finds_nothing(wall: Wall, tmp_path: Path) -> None:
    """Not by id, not by an item's, not to go on from, not to delete; nor can it tell that there is
    something.
    """
    async with live(wall, tmp_path) as gateway:
        other = await stranger(gateway)
        said = whole(await create(gateway, "Secret.", store=True))
        found, item = said["id"], said["output"][0]["id"]
        for method, path in [("GET", ""), ("GET", "/input_items"), ("DELETE", "")]:
            theirs = await ask(gateway, method, f"/v1/responses/{found}{path}", other)
            none = await ask(gateway, method, f"/v1/responses/resp_none{path}", other)
            assert theirs.error == none.error == GONE
        theirs_key, gateway.key = gateway.key, other
        assert (await create(gateway, previous_response_id=found)).error == GONE
        reference = [{"type": "item_reference", "id": item}]
        refused = await create(gateway, reference)
        assert refused.error == (400, INVALID, "invalid_parameter")
        gateway.key = theirs_key
        assert (await ask(gateway, "GET", f"/v1/responses/{found}")).status == 200
    assert len(wall.calls("ok")) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["500", "error-after-content", "error-200", "malformed-body"])
async def test_what_failed_is_not_kept(wall: Wall, tmp_path: Path, name: str, stream: bool) -> None:
    """There is no whole response to keep."""
    async with live(wall, tmp_path) as gateway:
        await create(gateway, model=name, store=True, stream=stream)
        [row] = await gateway.rows()
        assert await gateway.application.parts.database.read("SELECT id FROM responses") == []
    assert (row.outcome, row.cost) == ("failed", 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_cannot_be_kept_is_not_answered(
    wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """With the database away: 503, one attempt (another offer would not mend it), nothing paid."""

    async def away(*_: object) -> None:
        raise Unavailable("The database is away.", headers={"Retry-After": "1"})

    wall.script("two-first", "ok")
    async with live(wall, tmp_path) as gateway:
        monkeypatch.setattr(responses, "keep", away)
        answer = await create(gateway, model="two", store=True, stream=stream)
        [row] = await gateway.rows()
    if stream:
        assert RESPONSES.error_inside(answer) == ("", "service_unavailable")
        assert not RESPONSES.done(answer)
    else:
        assert answer.error == (503, "server_error", "service_unavailable")
    assert (row.outcome, row.status, row.attempts, row.cost) == ("failed", 503, 1, 0)
    assert len(wall.calls()) == 1


@pytest.mark.parametrize("odd", [5, {"id": 5}, {"id": {}}])
async def test_items_that_are_none_are_left_out(wall: Wall, tmp_path: Path, odd: object) -> None:
    """What is kept is what was understood."""

    async def speak(talk: Talk, call: Call) -> None:
        said = response(call, ["w0 "])
        await talk.whole(200, dump({**said, "output": [*said["output"], odd]}))

    wall.behaviours["odd"] = speak
    async with live(wall, tmp_path, dialect="openai_responses") as gateway:
        answer = await create(gateway, model="odd", store=True)
        [row] = await gateway.rows()
    assert [item["type"] for item in answer.json["output"]] == ["message"]
    assert (row.outcome, row.cost > 0) == ("answered", True)


async def test_output_that_is_none_is_the_providers_fault(wall: Wall, tmp_path: Path) -> None:
    """502 and nothing paid, rather than a fault of ours."""

    async def speak(talk: Talk, call: Call) -> None:
        await talk.whole(200, dump({**response(call, ["w0 "]), "output": 5}))

    wall.behaviours["odd"] = speak
    async with live(wall, tmp_path, dialect="openai_responses") as gateway:
        answer = await create(gateway, model="odd", store=True)
        [row] = await gateway.rows()
    assert answer.error == (502, "server_error", "upstream_error")
    assert (row.outcome, row.cost) == ("failed", 0)


async def test_what_its_caller_left_is_not_kept(wall: Wall, tmp_path: Path) -> None:
    """Nobody has its id."""
    async with live(wall, tmp_path) as gateway:
        line = await gateway.line()
        line.send(RESPONSES.asking(gateway, "stall-in-the-middle", stream=True, store=True))
        await line.head()
        await line.chunk()
        line.hang_up()
        [row] = await gateway.rows()
        assert await gateway.application.parts.database.read("SELECT id FROM responses") == []
    assert row.outcome == "cut"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/responses/resp_x", "GET"),
        ("DELETE", "/v1/responses/resp_x/input_items", "GET"),
        ("GET", "/v1/responses", "POST"),
    ],
)
async def test_other_methods_are_refused(
    wall: Wall, tmp_path: Path, method: str, path: str, allowed: str
) -> None:
    """405 with those that do."""
    async with live(wall, tmp_path) as gateway:
        answer = await ask(gateway, method, path)
    assert answer.error == (405, INVALID, "method_not_allowed")
    assert allowed in answer.headers["allow"].replace(" ", "").split(",")


@pytest.mark.parametrize("path", ["/v1/responses/resp_x", "/v1/responses/resp_x/input_items"])
async def test_who_is_nobody_reads_nothing(wall: Wall, tmp_path: Path, path: str) -> None:
    """401, before anything is looked for."""
    async with live(wall, tmp_path) as gateway:
        answer = await ask(gateway, "GET", path, "sk-nobody")
    assert answer.error == (401, "authentication_error", "invalid_api_key")


async def test_an_id_of_any_kind_is_only_an_id(wall: Wall, tmp_path: Path) -> None:
    """404 in the envelope, whatever it holds."""
    async with live(wall, tmp_path) as gateway:
        for odd in ("x" * 500, "'; DROP TABLE responses; --", "%00", "é"):
            answer = await create(gateway, previous_response_id=odd)
            assert answer.error in (GONE, (400, INVALID, "invalid_parameter"))
            json.loads(answer.body)
