"""Content parts of OpenAI's chat format: text, images, sounds, films and documents, both ways.

What it is not: a fetcher; an address stays an address. The rule that keeps it honest: what is
refused is named by its place in the caller's body, and no byte of a medium is looked at beyond the
head that says what it is.
"""

from __future__ import annotations

import base64
from typing import Final, Literal

from msgspec import Struct

from apertura.wire import faults
from apertura.wire.chat import CacheLife, MediaPart, Part, RefusalPart, TextPart

Kind = Literal["image", "audio", "video", "document"]

_MIMES: Final = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "pcm16": "audio/pcm",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
}
"""What the format calls kinds of sound."""
_SOUNDS: Final = {
    **{mime: name for name, mime in _MIMES.items()},
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
}
_HEADS: Final = {"UklGR": "wav", "SUQz": "mp3", "//": "mp3", "ZkxhQ": "flac", "T2dn": "ogg"}
"""How base64 of a sound begins."""


class CacheControl(Struct, gc=False):
    """`cache_control` of a part, as hosts of Anthropic's models have it in this format."""

    ttl: str | None = None


class _Url(Struct, gc=False):
    url: str
    detail: str | None = None


class _Audio(Struct, gc=False):
    data: str
    format: str = ""


class _File(Struct, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(Struct, gc=False):
    """A part of a message's content."""

    type: str
    text: str | None = None
    image_url: _Url | str | None = None
    video_url: _Url | str | None = None
    input_audio: _Audio | None = None
    file: _File | None = None
    refusal: str | None = None
    cache_control: CacheControl | None = None


def life(mark: CacheControl | None) -> CacheLife:
    """How long a marked prefix shall be kept."""
    if mark is None:
        return ""
    return "1h" if mark.ttl == "1h" else "5m"


def part(found: ContentPart, place: str) -> Part:
    """One part of a caller's message. Raises: BadRequest, naming its place."""
    cache = life(found.cache_control)
    if found.type == "text":
        return TextPart(text=found.text or "", cache=cache)
    if found.type == "refusal":
        return RefusalPart(text=found.refusal or "")
    if found.type == "image_url" and found.image_url is not None:
        return _by_url("image", found.image_url, f"{place}.image_url.url", cache)
    if found.type == "video_url" and found.video_url is not None:
        return _by_url("video", found.video_url, f"{place}.video_url.url", cache)
    if found.type == "input_audio" and found.input_audio is not None:
        return _sound(found.input_audio, cache)
    if found.type == "file" and found.file is not None:
        return _document(found.file, f"{place}.file", cache)
    raise faults.invalid(f"{place}.type", "is not one that this model can be given")


def _by_url(kind: Kind, found: _Url | str, place: str, cache: CacheLife) -> MediaPart:
    url, detail = (found, "") if isinstance(found, str) else (found.url, found.detail or "")
    medium = medium_at(kind, url)
    if medium is None:
        raise faults.invalid(place, "must be an http or https address, or a data URI in base64")
    return MediaPart(
        kind=kind, url=medium.url, data=medium.data, mime=medium.mime, detail=detail, cache=cache
    )


def medium_at(kind: Kind, url: str) -> MediaPart | None:
    """A medium by its address or data URI; None for what is neither."""
    if url[:5].lower() != "data:":
        scheme = url[:8].lower()
        web = scheme.startswith(("http://", "https://"))
        return MediaPart(kind=kind, url=url) if web else None
    head, comma, data = url[5:].partition(",")
    mime, *options = head.split(";")
    if not comma or "base64" not in (option.strip().lower() for option in options):
        return None
    return MediaPart(kind=kind, data=data, mime=mime.strip().lower())


def _sound(found: _Audio, cache: CacheLife) -> MediaPart:
    medium = medium_at("audio", found.data) if found.data[:5] == "data:" else None
    if medium is not None:
        return medium
    mime = _MIMES.get(found.format, f"audio/{found.format}")
    return MediaPart(kind="audio", data=found.data, mime=mime, cache=cache)


def _document(found: _File, place: str, cache: CacheLife) -> MediaPart:
    """A file by its content; what one provider keeps under an id, no other can be given."""
    if found.file_data is None:
        raise faults.invalid(
            f"{place}.file_id" if found.file_id else place,
            "must be given by its content, as `file_data` with a data URI",
        )
    name = found.filename or ""
    medium = medium_at("document", found.file_data)
    if medium is None and found.file_data[:5].lower() == "data:":
        raise faults.invalid(f"{place}.file_data", "must be a data URI in base64")
    if medium is None:
        medium = MediaPart(kind="document", data=found.file_data, mime="application/pdf")
    kind: Kind = "image" if medium.mime.startswith("image/") else "document"
    return MediaPart(
        kind=kind, url=medium.url, data=medium.data, mime=medium.mime, name=name, cache=cache
    )


def url_of(medium: MediaPart) -> str:
    """Its address, or its content as a data URI."""
    return medium.url or f"data:{medium.mime or 'application/octet-stream'};base64,{medium.data}"


def sound_mime(data: str) -> str:
    """What kind of sound this base64 is; replies do not say."""
    name = next((name for head, name in _HEADS.items() if data.startswith(head)), "pcm16")
    return _MIMES[name]


def said(medium: MediaPart, messages: str) -> dict[str, object]:
    """A part for a provider; `messages` is what the caller calls them. Raises: BadRequest."""
    if medium.kind == "image":
        image = {"url": url_of(medium)}
        if medium.detail:
            image["detail"] = medium.detail
        return {"type": "image_url", "image_url": image}
    if medium.kind == "video":
        return {"type": "video_url", "video_url": {"url": url_of(medium)}}
    if not medium.data:
        sentence = f"holds a {_NOUNS[medium.kind]} by its address; send it as base64 instead"
        raise faults.invalid(messages, sentence)
    if medium.kind == "audio":
        name = _SOUNDS.get(medium.mime) or medium.mime.partition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": medium.data, "format": name}}
    if medium.mime.startswith("text/"):
        return {"type": "text", "text": _text_of(medium, messages)}
    name = medium.name or "document.pdf"
    return {"type": "file", "file": {"filename": name, "file_data": url_of(medium)}}


def _text_of(medium: MediaPart, messages: str) -> str:
    """A document that is text goes as text: few hosts take other files than PDF."""
    try:
        return base64.b64decode(medium.data, validate=True).decode()
    except ValueError:  # no base64, or of no text
        raise faults.invalid(
            messages, "holds a text document that is not base64 of UTF-8"
        ) from None


_NOUNS: Final = {"audio": "sound", "document": "document"}
