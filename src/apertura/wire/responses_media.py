"""Images and documents in OpenAI's Responses format, to parts and back.

What it is not: fetching; an address stays an address. The rule that keeps it honest: base64 is
passed on as it came, and what the format has no place for is refused, never left out in silence.
"""

from __future__ import annotations

import re
from typing import Literal

from apertura.wire import faults
from apertura.wire.chat import MediaPart, TextPart
from apertura.wire.responses_shapes import Part

_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[^,;]*)*?;base64,(.*)", re.DOTALL)
_GUESSED = {"image": "image/png", "document": "application/pdf"}
_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
}


def read(part: Part, place: str) -> TextPart | MediaPart | None:
    """A part of what a caller or a tool says; None for one that is neither words nor media.

    Raises: BadRequest, for media that cannot be understood.
    """
    if part.type in ("input_text", "output_text", "text"):
        return TextPart(text=part.text or "")
    if part.type in ("input_image", "image"):
        return _image(part, place)
    if part.type == "input_file":
        return _document(part, place)
    if part.type == "input_audio" and part.input_audio is not None:
        sound = part.input_audio
        name = "mpeg" if sound.format == "mp3" else sound.format
        return MediaPart(kind="audio", data=sound.data, mime=f"audio/{name}")
    return None


def say(media: MediaPart, param: str) -> dict[str, object]:
    """A part of `input`. Raises: BadRequest, for a kind that has no place there."""
    where = media.url or f"data:{media.mime};base64,{media.data}"
    if media.kind == "image":
        return {"type": "input_image", "image_url": where, "detail": media.detail or "auto"}
    if media.kind == "document":
        if media.url:
            return {"type": "input_file", "file_url": media.url}
        return {"type": "input_file", "filename": media.name or "file.pdf", "file_data": where}
    raise faults.invalid(param, f"holds {media.kind}, which this model cannot be given")


def split(uri: str) -> tuple[str, str] | None:
    """Type and base64 of a data URI; None for anything else."""
    found = _DATA_URI.fullmatch(uri)
    return (found[1] or "", found[2]) if found else None


def _image(part: Part, place: str) -> MediaPart:
    detail = part.detail or ""
    if part.source is not None:
        source = part.source
        if source.type == "base64":
            mime = source.media_type or "image/png"
            return MediaPart(kind="image", data=source.data, mime=mime, detail=detail)
        return MediaPart(kind="image", url=source.url, detail=detail)
    url = part.image_url
    if isinstance(url, dict):
        raise faults.invalid(f"{place}.image_url", "must be a string")
    return _media("image", url or "", f"{place}.image_url", detail)


def _document(part: Part, place: str) -> MediaPart:
    name = part.filename or ""
    if part.file_data is None:
        found = _media("document", part.file_url or "", f"{place}.file_url")
        return MediaPart(
            kind="document", url=found.url, data=found.data, mime=found.mime, name=name
        )
    inline = split(part.file_data)
    if inline is None and part.file_data.startswith("data:"):
        raise faults.invalid(f"{place}.file_data", "must be base64, or a data URI of it")
    mime, data = inline or ("", part.file_data)
    guess = _TYPES.get(name.rpartition(".")[2].lower(), "application/pdf")
    return MediaPart(kind="document", data=data, mime=mime or guess, name=name)


def _media(kind: Literal["image", "document"], url: str, place: str, detail: str = "") -> MediaPart:
    """What an address stands for: itself, or the data within it."""
    if not url.startswith("data:"):
        if not url.startswith(("https://", "http://")):
            raise faults.invalid(place, "must be an http address or a data URI")
        return MediaPart(kind=kind, url=url, detail=detail)
    inline = split(url)
    if inline is None:
        raise faults.invalid(place, "must be a data URI of base64")
    return MediaPart(kind=kind, mime=inline[0] or _GUESSED[kind], data=inline[1], detail=detail)
