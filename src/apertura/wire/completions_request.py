"""A text completion that a caller asks for: a prompt, and how to go on with it.

What it is not: many requests in one; a list of several prompts is refused, as are tokens instead of
text, a suffix, and the best of several answers. None of these can be asked of a chat model.

The rule that keeps it honest: what is refused is refused by name, what is given up is listed, and
the limit that this format has where none is given (16 tokens) is the one that the call is held to.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from apertura.wire import faults, route_wish
from apertura.wire.chat import Chat, ChatRequest, TextPart, Turn
from apertura.wire.openai_request import cost_wish, model_name
from apertura.wire.openai_shapes import (
    Bias,
    Name,
    Penalty,
    StreamOptions,
    Tokens,
    Unit,
    UsageWish,
    decode_members,
)
from apertura.wire.route_wish import RouteMembers

MAX_TOKENS = 16
"""The most tokens of an answer where the caller sets no limit, as the format has it."""


class Body(RouteMembers, gc=False):
    """The whole request: all parameters that we know, as we accept them."""

    model: Name
    prompt: str | list[str | int | list[int]]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    usage: UsageWish | None = None
    max_tokens: Tokens | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Unit | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    user: str | None = None


_KNOWN = frozenset(Body.__struct_fields__)
_NULL = b"null"
_NAMES = {
    "turns": "prompt",
    "max_output": "max_tokens",
    **{
        name: name
        for name in (
            *("temperature", "top_p", "top_k", "stop", "n", "seed", "presence_penalty"),
            *("frequency_penalty", "logit_bias", "logprobs", "user"),
        )
    },
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Body).decode


def parse(body: bytes) -> ChatRequest:
    """What a caller asks. Raises: BadRequest, naming the parameter."""
    typed = faults.read(body, _decode)
    members = faults.read(body, decode_members)
    prompt_of(typed)
    choices = typed.n or 1
    if typed.suffix:
        raise faults.invalid("suffix", "cannot be asked for: no chat model fills a gap")
    if typed.best_of is not None and typed.best_of != choices:
        raise faults.invalid("best_of", "must be left out; every answer is returned")
    options = typed.stream_options
    told = UNSET if options is None else options.include_cost
    costs, members = cost_wish(members, typed.usage, told)
    return ChatRequest(
        model=model_name(typed.model),
        members=route_wish.without_own(members),
        stream=typed.stream is True,
        include_usage=options is not None and options.include_usage is True,
        include_cost=costs,
        max_output=typed.max_tokens or MAX_TOKENS,
        choices=choices,
        wish=route_wish.wish_of(typed, members),
        size=len(body),
    )


def prompt_of(body: Body) -> str:
    """The one text to go on with. Raises: BadRequest."""
    prompt = body.prompt
    if isinstance(prompt, list):
        if any(not isinstance(text, str) for text in prompt):
            raise faults.invalid("prompt", "must be text, not the numbers of tokens")
        if len(prompt) > 1:
            raise faults.invalid("prompt", "must be one text; send one request for each")
        prompt = "".join(text for text in prompt if isinstance(text, str))
    if not prompt:
        raise faults.invalid("prompt", "must not be empty")
    return prompt


def echo_of(request: ChatRequest | None) -> str:
    """What the answer begins with: the prompt, where the caller wants it repeated."""
    if request is None or bytes(request.members.get("echo", _NULL)) != b"true":
        return ""
    return prompt_of(_read(request))


def _read(request: ChatRequest) -> Body:
    """The parameters that we know, of a request that `parse` accepted."""
    known = {name: raw for name, raw in request.members.items() if name in _KNOWN}
    return _decode(_encode(known))


def understand(request: ChatRequest) -> Chat:
    """The whole of a request that `parse` accepted, as a conversation of one turn."""
    asked = _read(request)
    stop = asked.stop
    members = request.members.items()
    return Chat(
        turns=(Turn(role="user", parts=(TextPart(text=prompt_of(asked)),)),),
        stream=request.stream,
        max_output=request.max_output,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=None if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        n=asked.n,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logit_bias=None if asked.logit_bias is None else request.members["logit_bias"],
        logprobs=None if asked.logprobs is None else True,
        user=asked.user,
        others={k: v for k, v in members if k not in _KNOWN and bytes(v) != _NULL},
        names=_NAMES,
    )
