"""Behaviour of API keys as values."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.keys import (
    ALPHABET,
    AREAS,
    PREFIXES,
    RANDOM_BYTES,
    READ,
    SCOPES,
    Digester,
    KeyPolicy,
    check,
    check_model,
    check_scope,
    is_well_formed,
    is_within,
    mint,
    mint_again,
    parse_networks,
    parse_scopes,
)
from apertura.errors import AperturaError, AuthenticationFailed, BadRequest, Forbidden

randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
kinds = st.sampled_from(sorted(PREFIXES))
HERE = "203.0.113.9"


@given(randomness, kinds)
def test_a_minted_key_has_the_promised_form(random: bytes, kind: str) -> None:
    """`sk-` and 48 letters and digits; the id is its beginning, `last4` its end."""
    minted = mint(random, kind)

    assert re.fullmatch(re.escape(PREFIXES[kind]) + "[0-9A-Za-z]{48}", minted.key)
    assert minted.key[len(PREFIXES[kind]) :].startswith(minted.id)
    assert len(minted.id) == 12
    assert minted.key.endswith(minted.last4)
    assert is_well_formed(minted.key)


@given(randomness, kinds, st.data())
def test_any_single_wrong_character_is_refused(random: bytes, kind: str, data) -> None:
    """A typing error is found out without asking the database."""
    key = mint(random, kind).key
    at = data.draw(st.integers(0, len(key) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET + "-_ é").filter(lambda c: c != key[at]))
    mistyped = key[:at] + wrong + key[at + 1 :]

    if mistyped.replace("sk-sub_", "sk-sub-") != key:  # that one spelling is allowed
        assert not is_well_formed(mistyped)


@given(randomness, st.data())
def test_a_missing_or_a_doubled_character_is_refused(random: bytes, data) -> None:
    """So is a key of the wrong length."""
    key = mint(random).key
    at = data.draw(st.integers(3, len(key) - 1))

    assert not is_well_formed(key[:at] + key[at + 1 :])
    assert not is_well_formed(key[:at] + key[at] + key[at:])


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    """Never an exception, and never a yes to what was not minted."""
    assert not is_well_formed(text)


def test_a_key_wants_exactly_its_randomness() -> None:
    """Less would be guessable."""
    with pytest.raises(ValueError, match="randomness"):
        mint(b"short")


def test_keys_of_equal_randomness_only_are_equal() -> None:
    """One bit more, and all is another."""
    first, second = mint(bytes(RANDOM_BYTES)), mint(bytes(RANDOM_BYTES - 1) + b"\1")

    assert first.key != second.key
    assert first.id != second.id


def test_a_digest_is_keyed_and_the_two_spellings_share_one() -> None:
    """Another pepper, another digest; `sk-sub_` is `sk-sub-`; nothing of the key shows in it."""
    key = mint(bytes(range(RANDOM_BYTES)), "subscription").key.encode()
    digest = Digester(b"pepper").digest

    assert digest(key) == digest(key)
    assert len(digest(key)) == 32
    assert digest(key) != Digester(b"another").digest(key)
    assert digest(key) == digest(key.replace(b"sk-sub-", b"sk-sub_"))
    assert digest(key) != digest(key[:-1])


# Policies.


def test_an_open_policy_lets_everybody_in() -> None:
    """No list means all."""
    check(KeyPolicy(), address=HERE, now_ms=10**15)
    check_model(KeyPolicy(), "any")


def test_checks_come_in_the_order_of_the_contract() -> None:
    """Disabled, expired, suspended, address: with all wrong, each repair shows the next."""
    wrong = {
        "enabled": False,
        "expires_at": 1000,
        "org_active": False,
        "networks": parse_networks(["10.0.0.0/8"]),
    }
    expected = [
        ("enabled", AuthenticationFailed, "invalid_api_key"),
        ("expires_at", AuthenticationFailed, "expired_api_key"),
        ("org_active", Forbidden, "account_suspended"),
        ("networks", Forbidden, "ip_not_allowed"),
    ]
    for field, kind, code in expected:
        with pytest.raises(AperturaError) as refused:
            check(KeyPolicy(**wrong), address=HERE, now_ms=1000)
        assert (type(refused.value), refused.value.code) == (kind, code)
        del wrong[field]
    check(KeyPolicy(**wrong), address=HERE, now_ms=1000)


def test_a_key_lives_until_its_expiry_and_not_at_it() -> None:
    """The moment of expiry is the first at which it is refused."""
    policy = KeyPolicy(expires_at=1000)

    check(policy, address=HERE, now_ms=999)
    with pytest.raises(AuthenticationFailed, match="expired"):
        check(policy, address=HERE, now_ms=1000)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.168.1.77", True),
        ("192.168.2.1", False),
        ("10.0.0.1", True),
        ("10.0.0.2", False),
        ("::ffff:192.168.1.77", True),
        ("::ffff:192.168.2.1", False),
        ("::FFFF:10.0.0.1", True),
        ("2001:db8:1::5", True),
        ("2001:db9::5", False),
        ("100.64.0.9", True),
        ("::ffff:100.64.0.9", True),
        ("", False),
        ("unknown", False),
        ("192.168.1.77:443", False),
    ],
)
def test_an_address_is_found_in_its_networks(address: str, inside: bool) -> None:
    """An IPv4 address is the same one written into IPv6; what is no address is in none."""
    networks = parse_networks(
        ["192.168.1.0/24", " 10.0.0.1", "2001:db8::/32", "", "::ffff:100.64.0.0/106"]
    )

    assert is_within(address, networks) is inside


def test_networks_may_be_written_with_host_bits() -> None:
    """As people do; blanks are left out."""
    assert parse_networks(["10.1.2.3/8", " ", ""]) == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize("text", ["10.0.0", "10.0.0.0/33", "acme", "10.0.0.1-10.0.0.9", "::g"])
def test_a_network_that_is_none_is_refused_by_name(text: str) -> None:
    """The message repeats it, and says what would do."""
    with pytest.raises(BadRequest, match=re.escape(text)) as refused:
        parse_networks([text])

    assert (refused.value.code, refused.value.param) == ("invalid_parameter", "ips")


def test_a_model_list_is_exact() -> None:
    """Neither a prefix nor another case of a listed name will do."""
    policy = KeyPolicy(models=frozenset({"small", "acme/large:free"}))

    check_model(policy, "small")
    check_model(policy, "acme/large:free")
    for model in ("smal", "Small", "small ", "acme/large", ""):
        with pytest.raises(Forbidden) as refused:
            check_model(policy, model)
        assert (refused.value.code, refused.value.param) == ("model_access_denied", "model")


@given(randomness, kinds, kinds)
def test_a_key_is_of_one_kind(random: bytes, kind: str, other: str) -> None:
    """Its digits under another beginning are another key, which nobody has."""
    body = mint(random, kind).key.removeprefix(PREFIXES[kind])
    digest = Digester(b"p" * 32).digest

    theirs = f"{PREFIXES[other]}{body}".encode()
    assert (digest(theirs) == digest(mint(random, kind).key.encode())) == (kind == other)
    assert not is_well_formed(f"sk-sub-admin_{body}")


@given(st.sets(st.sampled_from(SCOPES)), st.sampled_from(AREAS), st.booleans())
def test_a_scope_opens_what_it_names(scopes: set[str], area: str, write: bool) -> None:
    """None at all opens everything; `read` opens nothing for writing."""
    policy = KeyPolicy(scopes=frozenset(scopes))
    opens = not scopes or area in scopes
    opens = opens or (not write and bool(scopes & {READ, f"{area}:{READ}"}))

    if opens:
        check_scope(policy, area, write=write)
    else:
        with pytest.raises(Forbidden, match="restricted to"):
            check_scope(policy, area, write=write)


def test_an_area_without_a_name_is_for_the_unrestricted() -> None:
    """What is new is closed until somebody opens it."""
    check_scope(KeyPolicy(), "new", write=True)
    check_scope(KeyPolicy(scopes=frozenset({READ})), "new", write=False)
    with pytest.raises(Forbidden):
        check_scope(KeyPolicy(scopes=frozenset(AREAS)), "new", write=False)


def test_scopes_are_read_in_their_order() -> None:
    """Each once; what is none is refused by its name."""
    assert parse_scopes([" usage", "keys:read", "", "usage"]) == ("usage", "keys:read")
    assert parse_scopes([]) == ()
    with pytest.raises(BadRequest, match="'root' is no scope"):
        parse_scopes(["keys", "root"])


@pytest.mark.parametrize("kind", ["standard", "subscription"])
def test_a_key_can_be_made_again_under_its_id(kind: str) -> None:
    """With another secret, so that the old one is no key of it any more."""
    first = mint(bytes(range(40)), kind)

    second = mint_again(first.id, bytes(40), kind)

    assert second.id == first.id
    assert second.key.startswith(PREFIXES[kind] + first.id)
    assert is_well_formed(second.key)
    assert second.key != first.key
    assert second.last4 == second.key[-4:]
    with pytest.raises(ValueError, match="40 bytes"):
        mint_again(first.id, bytes(39), kind)
