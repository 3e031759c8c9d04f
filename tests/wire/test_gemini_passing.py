"""Behaviour of requests that pass to Google after another provider has answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertura.wire.gemini import parse, render
from apertura.wire.gemini_state import SKIP, sign
from apertura.wire.state import ANTHROPIC, GEMINI, OPENAI

HI = {"role": "user", "parts": [{"text": "hi"}]}
OWN = sign(GEMINI, "c2lnbmF0dXJl")
FOREIGN = sign(ANTHROPIC, "sig==")
CALL = {"functionCall": {"name": "f", "args": {"a": 1.0}}}


def passed(*parts: Any) -> list[Any]:
    """What Google gets for a turn of its model's, and around it."""
    body = {"contents": [HI, {"role": "model", "parts": list(parts)}, HI]}
    said = json.loads(render(parse(json.dumps(body).encode(), model="m"), model="m"))
    contents: list[Any] = said["contents"]
    assert HI == contents[0] == contents[-1]
    return [part for turn in contents[1:-1] for part in turn["parts"]]


def test_googles_own_state_passes() -> None:
    """To the byte, with the thoughts beside it."""
    data = b'{"contents": [ {"role":"model", "parts":[{"thoughtSignature" : "YXB"}]}]}'
    thought = {"text": "hm", "thought": True}

    assert render(parse(data, model="m"), model="m") == data.replace(b'": [ ', b'":[ ')
    assert [thought, {**CALL, "thoughtSignature": OWN}] == (
        passed(thought, {**CALL, "thoughtSignature": OWN})
    )


@pytest.mark.parametrize("signature", [FOREIGN, sign(OPENAI, "rs_1:x"), FOREIGN.rstrip("=")])
def test_what_others_thought_is_taken_out(signature: str) -> None:
    """Words and state; a call is marked as one that has no signature to check."""
    found = passed(
        {"text": "secret", "thought": True},
        {"text": "", "thoughtSignature": signature},
        {"text": "yes", "thoughtSignature": signature},
        {**CALL, "thoughtSignature": signature},
        {"functionCall": {"name": "g"}},
    )

    assert [
        {"text": "yes"},
        {**CALL, "thoughtSignature": SKIP},
        {"functionCall": {"name": "g"}},
    ] == found


def test_a_turn_of_nothing_else_is_left_out() -> None:
    assert [] == passed({"text": "", "thought": True, "thoughtSignature": FOREIGN})


def test_other_turns_stay_as_they_came() -> None:
    """Also where turns and parts come without brackets."""
    own = {"role": "model", "parts": {"text": "a", "thoughtSignature": OWN}}
    other = {"role": "model", "parts": {"text": "b", "thoughtSignature": FOREIGN}}
    body = {"contents": [own, {"role": "user"}, other]}
    said = json.loads(render(parse(json.dumps(body).encode(), model="m"), model="m"))
    single = {"contents": other}
    alone = json.loads(render(parse(json.dumps(single).encode(), model="m"), model="m"))

    assert [own, {"role": "user"}, {"role": "model", "parts": [{"text": "b"}]}] == said["contents"]
    assert [{"role": "model", "parts": [{"text": "b"}]}] == alone["contents"]
