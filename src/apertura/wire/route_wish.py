"""What a request says about its route: `provider`, and the models that may stand in.

The same members in every format whose callers can add some: `provider` and `models` as users of
OpenRouter know them, and `fallback_models`, `fallback_timeout`, `fallback_enabled`. They speak to
the gateway alone. What it is not: what they lead to (`domain.routing`).

The rule that keeps it honest: what is in `provider` and not known here is refused by name, for it
may be a condition, and none that a caller sets may be passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from apertura.domain.money import NANO_PER_USD
from apertura.domain.preferences import (
    MODELS_MOST,
    NO_PREFERENCES,
    PATIENCE_BOUNDS_MS,
    PATIENCE_MS,
    Preferences,
    Wish,
)
from apertura.wire import faults

OWN = frozenset({"fallback_enabled", "fallback_models", "fallback_timeout", "models", "provider"})
"""Members that no provider sees."""

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Providers = Annotated[list[Name], Meta(max_length=100)]
Models = Annotated[list[Name], Meta(max_length=MODELS_MOST)]
Patience = Annotated[int, Meta(ge=PATIENCE_BOUNDS_MS[0], le=PATIENCE_BOUNDS_MS[1])]

USD_MOST = 2_000
"""More dollars per million tokens than any price has."""
_members_of = msgspec.json.Decoder(dict[str, Raw]).decode
_NAME = re.compile(r"\w{1,64}", re.ASCII)


class MaxPrice(Struct, gc=False):
    """`provider.max_price`: dollars per million tokens."""

    prompt: Decimal | None = None
    completion: Decimal | None = None


class ProviderWish(Struct, gc=False):
    """`provider`."""

    order: Providers | None = None
    only: Providers | None = None
    ignore: Providers | None = None
    allow_fallbacks: bool | None = None
    sort: Literal["price", "latency", "throughput"] | None = None
    max_price: MaxPrice | None = None
    require_parameters: bool | None = None


class RouteMembers(Struct, gc=False, kw_only=True):
    """What a request of any format may say about its route."""

    models: Models | None = None
    fallback_models: Models | None = None
    fallback_timeout: Patience | None = None
    fallback_enabled: bool | None = None
    provider: ProviderWish | None = None


def wish_of(body: RouteMembers, members: Mapping[str, Raw]) -> Wish | None:
    """What a request that was decoded says about its route; None if nothing.

    Raises: BadRequest, naming the parameter.
    """
    preferences = NO_PREFERENCES
    if body.provider is not None:
        preferences = _preferences(body.provider, members["provider"])
    if body.models and body.fallback_models:
        raise faults.invalid("fallback_models", "says what `models` says; give one of them")
    models = body.fallback_models or body.models
    if models and body.fallback_enabled is not False:
        for name in models:
            if not name.isprintable():
                param = "fallback_models" if body.fallback_models else "models"
                raise faults.invalid(param, "must hold names of models, without control characters")
        return Wish(
            preferences=preferences,
            models=tuple(models),
            patience_ms=body.fallback_timeout or PATIENCE_MS,
        )
    return Wish(preferences=preferences) if preferences is not NO_PREFERENCES else None


def without_own(members: dict[str, Raw]) -> dict[str, Raw]:
    """The members that a provider may see."""
    if OWN.isdisjoint(members):
        return members
    return {name: value for name, value in members.items() if name not in OWN}


def parse_preferences(text: bytes) -> Preferences:
    """A `provider` object on its own. Raises: BadRequest."""
    wish = faults.read(b'{"provider":%b}' % text, _decode_alone)
    return _preferences(wish.provider, Raw(text)) if wish.provider else NO_PREFERENCES


class _Alone(Struct, gc=False):
    provider: ProviderWish | None


_decode_alone = msgspec.json.Decoder(_Alone).decode


def _preferences(said: ProviderWish, raw: Raw) -> Preferences:
    members = _members_of(raw)
    _refuse_unknown(members, ProviderWish, "provider")
    price = said.max_price
    if price is not None:
        _refuse_unknown(_members_of(members["max_price"]), MaxPrice, "provider.max_price")
    return Preferences(
        order=tuple(said.order or ()),
        only=tuple(said.only or ()),
        ignore=tuple(said.ignore or ()),
        allow_fallbacks=said.allow_fallbacks is not False,
        sort=said.sort or "",
        max_prompt=None if price is None else _nano(price.prompt, "prompt"),
        max_completion=None if price is None else _nano(price.completion, "completion"),
        require_parameters=said.require_parameters is True,
    )


def _refuse_unknown(members: Mapping[str, Raw], known: type[Struct], place: str) -> None:
    for name in members:
        if name not in known.__struct_fields__:
            param = f"{place}.{name}" if _NAME.fullmatch(name) else place
            listed = ", ".join(known.__struct_fields__)
            raise faults.invalid(param, f"is not known; `{place}` may have: {listed}")


def _nano(dollars: Decimal | None, member: str) -> int | None:
    """A price in nano-dollars, rounded down, so that none above it counts as within it."""
    if dollars is None:
        return None
    if not dollars.is_finite() or not 0 <= dollars <= USD_MOST:
        sentence = f"must be dollars per million tokens, from 0 to {USD_MOST:,}"
        raise faults.invalid(f"provider.max_price.{member}", sentence)
    return int(dollars * NANO_PER_USD)
