"""Behaviour of mail by SMTP, against a real server."""

from __future__ import annotations

import asyncio
import socket
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from apertura.mail.base import Message, Outcome, Unserved, open_mailer
from apertura.mail.smtp import Sender, SmtpMailer, Unsendable, compose, parse_sender, parse_server
from tests.postbox import PASSWORD, USER, Tls, postbox

NOW = 1_795_306_384_000
SENDER = Sender(name="Apertura", address="billing@example.com")


def message(recipient: str = "ann@example.org", **fields: object) -> Message:
    given: dict[str, object] = {
        "id": "0123abcd",
        "subject": "Balance low",
        "text": "It is low.\n",
        "html": "<p>It is low.</p>\n",
        "at_ms": NOW,
    }
    return Message(recipient=recipient, **{**given, **fields})  # type: ignore[arg-type]


async def send(url: str, *messages: Message) -> list[Outcome]:
    async with SmtpMailer(parse_server(url), SENDER).session() as hand_over:
        return [await hand_over(one) for one in messages]


@pytest.mark.parametrize("tls", ["off", "starttls", "implicit"])
async def test_a_message_arrives_as_it_was_written(tmp_path: Path, tls: Tls) -> None:
    """In plain, after STARTTLS, and under TLS from the start; with a password where it is safe."""
    text = "Ünder 10 $ are left.\n\n.\nA line with a single dot goes before.\n"
    with postbox(tls, tmp_path) as box:
        (outcome,) = await send(box.url, message(text=text, html="<p>Ü</p>\n", subject="Low: 5 €"))

    assert outcome == Outcome(kind="delivered", reason="kept it")
    (letter,) = box.letters
    assert (letter.sender, letter.recipients) == ("billing@example.com", ["ann@example.org"])
    assert (letter.tls, letter.user) == (tls != "off", None if tls == "off" else USER)
    headers = letter.message
    assert headers["from"] == "Apertura <billing@example.com>"
    assert headers["to"] == "ann@example.org"
    assert headers["subject"] == "Low: 5 €"
    assert headers["message-id"] == "<0123abcd@example.com>"
    assert headers["auto-submitted"] == "auto-generated"
    assert parsedate_to_datetime(headers["date"]).timestamp() * 1000 == NOW
    assert (letter.text, letter.html) == (text, "<p>Ü</p>\n")


async def test_messages_of_one_session_share_a_connection() -> None:
    """And none of them is mixed up with another."""
    with postbox() as box:
        outcomes = await send(box.url, *(message(f"u{n}@example.org") for n in range(5)))

    assert {one.kind for one in outcomes} == {"delivered"}
    assert [one.recipients for one in box.letters] == [[f"u{n}@example.org"] for n in range(5)]
    assert box.hellos == 1


async def test_a_session_without_a_message_connects_to_nothing() -> None:
    """No server need be there."""
    assert await send("smtp://127.0.0.1:9?tls=off") == []


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("550 5.1.1 no such user", "refused", 550),
        ("452 4.2.2 mailbox full", "failed", 452),
    ],
)
async def test_a_refused_recipient_does_not_stop_the_others(
    answer: str, kind: str, code: int
) -> None:
    """5xx is for good, 4xx for now; the server's words are the reason."""
    with postbox() as box:
        box.answers["gone@example.org"] = answer
        first, second = await send(box.url, message("gone@example.org"), message("b@example.org"))

    assert first == Outcome(kind=kind, reason=answer, code=code)  # type: ignore[arg-type]
    assert second.kind == "delivered"
    assert [one.recipients for one in box.letters] == [["b@example.org"]]


@pytest.mark.parametrize(("answer", "kind"), [("554 spam", "refused"), ("451 later", "failed")])
async def test_a_refused_message_does_not_stop_the_others(answer: str, kind: str) -> None:
    """The connection goes on."""
    answers = iter([answer, "250 fine"])
    with postbox() as box:
        box.on_data = lambda: next(answers)
        first, second = await send(box.url, message("a@example.org"), message("b@example.org"))

    assert (first.kind, first.reason) == (kind, answer)
    assert second == Outcome(kind="delivered", reason="fine")


async def test_a_wrong_password_is_said_and_not_repeated(tmp_path: Path) -> None:
    """It is no refusal for good: somebody will mend it. The others are not tried."""
    with postbox("starttls", tmp_path) as box:
        url = box.url.replace("canary", "other")
        outcomes = await send(url, message(), message("b@example.org"))
        with pytest.raises(Unsendable) as raised:
            await SmtpMailer(parse_server(url), SENDER).probe()

    assert [one.kind for one in outcomes] == ["failed", "failed"]
    assert {one.code for one in outcomes} == {535}
    for said in (outcomes[0].reason, str(raised.value)):
        assert "other" not in said
        assert said.startswith("535")
    assert box.letters == []
    assert box.hellos <= 4  # once before TLS and once after, for each of the two connections


async def test_a_server_without_starttls_is_refused() -> None:
    """What was to be secret is not sent in the open, whoever took STARTTLS out of the greeting."""
    with postbox() as box:
        url = f"smtp://{USER}:canary@127.0.0.1:{box.port}"
        (outcome,) = await send(url, message())

    assert outcome.kind == "failed"
    assert "STARTTLS" in outcome.reason
    assert box.letters == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, tls: Tls) -> None:
    """Without the authority's file."""
    with postbox(tls, tmp_path) as box:
        (outcome,) = await send(box.url.partition("?")[0], message())

    assert outcome.kind == "failed"
    assert "certificate" in outcome.reason.lower()
    assert box.letters == []


async def test_nobody_there_is_a_failure_for_now() -> None:
    """Also for the probe."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"smtp://127.0.0.1:{taken.getsockname()[1]}?tls=off"
        outcomes = await send(url, message(), message())
        with pytest.raises(Unsendable):
            await SmtpMailer(parse_server(url), SENDER).probe()

    assert [one.kind for one in outcomes] == ["failed", "failed"]
    assert outcomes[0].reason


async def test_a_server_that_hangs_up_midway_is_a_failure_for_now() -> None:
    """What comes after is not tried on the dead connection, and nothing is raised."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?tls=off"
    outcomes = await send(url, message(), message())
    server.close()
    await server.wait_closed()

    assert [one.kind for one in outcomes] == ["failed", "failed"]


async def test_a_server_that_says_nothing_is_left_in_time(monkeypatch) -> None:
    """It took too long."""
    monkeypatch.setattr("apertura.mail.smtp.SECONDS_PER_STEP", 0.05)

    held: list[asyncio.StreamWriter] = []

    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?tls=off"
    (outcome,) = await send(url, message())
    for writer in held:
        writer.close()
        await writer.wait_closed()
    server.close()

    assert outcome.kind == "failed"
    assert outcome.reason


async def test_a_probe_sends_nothing(tmp_path: Path) -> None:
    """It reaches the server, shows the password, and says what the server called itself."""
    with postbox("starttls", tmp_path) as box:
        said = await SmtpMailer(parse_server(box.url), SENDER).probe()

    assert "box.test" in said
    assert box.letters == []


# What can stand in a header.


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("subject", "Hello\r\nBcc: all@example.org"),
        ("subject", "Hello\nBcc: all@example.org"),
        ("subject", "Hello\u2028there"),
        ("subject", "Hello\x00"),
        ("subject", ""),
        ("subject", "x" * 251),
        ("id", "a>\r\nBcc: all@example.org"),
        ("id", "a b"),
        ("id", ""),
        ("recipient", "ann@example.org\r\nBcc: all@example.org"),
        ("recipient", "ann@example.org>\r\nRCPT TO:<all@example.org"),
        ("recipient", "ann@example.org, all@example.org"),
        ("recipient", "Ann <ann@example.org>"),
        ("recipient", "ann@EXAMPLE.org"),
        ("recipient", ""),
    ],
)
def test_a_message_that_would_break_a_header_cannot_be_made(field: str, text: str) -> None:
    """Whatever the mail library would do with it."""
    with pytest.raises(ValueError):
        message(**{field: text})


@pytest.mark.parametrize(
    "text",
    ["billing@example.com\r\nBcc: x@y.z", "A\nB <a@b.c>", "no address", "", '"a@b.c'],
)
def test_a_sender_that_would_break_a_header_is_refused(text: str) -> None:
    """At the start, not with the first mail."""
    with pytest.raises(ValueError):
        parse_sender(text, "Apertura")


def test_a_sender_has_a_name_of_its_own_or_the_installation_s() -> None:
    """Either way of writing it."""
    assert parse_sender("a@b.example", "Ours") == Sender(name="Ours", address="a@b.example")
    assert parse_sender("Bills, Inc <a@B.example>", "Ours").address == "a@b.example"
    named = compose(message(), parse_sender("Bïlls & Co. <a@b.example>", "Ours"))
    assert named["from"].addresses[0].display_name == "Bïlls & Co."


def test_long_headers_are_folded_and_not_torn() -> None:
    """A long id, a long name of a domain and a long subject come out as they went in."""
    domain = ".".join(["a" * 60] * 3) + ".example"
    subject = "[Ours] " + "zwölf Boxkämpfer jagen Viktor " * 8
    made = compose(
        message(id="f" * 64, subject=subject.strip()), Sender(name="O", address=f"x@{domain}")
    )
    raw = made.as_bytes()

    assert f"<{'f' * 64}@{domain}>".encode() in raw
    assert made["subject"] == subject.strip()
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1].isalpha()]
    assert names == [
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"),
        *(b"MIME-Version", b"Content-Type"),
    ]


# The settings.


def test_a_server_is_read_from_its_url() -> None:
    """Ports, kinds of TLS, a password with anything in it."""
    plain = parse_server("smtp://relay.example?tls=off")
    later = parse_server("smtp://u:p%40ss@mail.example")
    first = parse_server("smtps://u:p@mail.example?ca=/etc/ca.pem")

    assert (plain.host, plain.port, plain.tls) == ("relay.example", 25, "off")
    assert (later.port, later.tls, later.user, later.password) == (587, "starttls", "u", "p@ss")
    assert (first.port, first.tls, first.ca) == (465, "implicit", "/etc/ca.pem")
    assert "p@ss" not in f"{later!r} {later}"


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://u:canary@mail.example?tls=off",
        "smtps://u:canary@mail.example?tls=off",
        "smtp://u:canary@mail.example?tsl=off",
        "smtp://u:canary@mail.example?tls=maybe",
    ],
)
def test_a_server_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    """Nor is a password taken that would go over the network in the open."""
    with pytest.raises(ValueError) as refused:
        parse_server(url)

    assert "canary" not in str(refused.value)


async def test_without_a_server_mail_waits_and_the_log_says_so(capsys) -> None:
    """Neither the address nor a word of the mail."""
    mailer = open_mailer("", "", "Apertura")
    async with mailer.session() as hand_over:
        outcome = await hand_over(message())

    assert isinstance(mailer, Unserved)
    assert outcome.kind == "waits"
    said = capsys.readouterr().err
    assert '"event": "mail_waits", "mail": "0123abcd"' in said
    assert "ann" not in said
    assert "low" not in said


def test_a_mailer_is_made_of_the_settings() -> None:
    """And a sender that is none is refused then."""
    assert isinstance(open_mailer("smtp://h", "a@b.example", "Ours"), SmtpMailer)
    with pytest.raises(ValueError, match="no mail address"):
        open_mailer("smtp://h", "nobody", "Ours")
    assert PASSWORD not in repr(parse_server("smtps://u:p@h"))
