"""Token counts where nobody told us: for a hold, and for what was relayed when a call was cut
before the provider reported its usage.

What it is not: a tokenizer. English text has about four bytes to a token, and so, in UTF-8, has
nearly every other script. A cut call is counted so too, not with `tokens`: the relay keeps no copy
of what it passes, and to keep one for the few calls that are cut would cost every call. The figures
here are marked as estimated wherever they are kept.

The rule that keeps it honest: only text counts, so that an image's bytes are never taken for words,
and an error's text never for output.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

BYTES_PER_TOKEN = 4
BASE64_BYTES = 3, 4
"""So many bytes stand in so many characters of base64."""

IMAGE = 1_000
"""What an image counts for where its size is not known: the middle of what providers charge."""
IMAGE_LOW = 85
"""An image that is asked to be seen in low detail, as OpenAI counts it."""
VIDEO = 8_000
"""Half a minute of video, at the 258 tokens a second of Gemini."""
DOCUMENT = 1_500
"""A page of a document, as text or as a picture of it."""
DOCUMENT_BYTES = 75_000
"""What a page of a PDF takes, on average."""
SOUND_BYTES = 500
"""Of sound, per token: 32 tokens a second at 128 kbit/s, the most that is charged for one."""

_KINDS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "input_audio": "audio",
    "audio": "audio",
    "file": "document",
    "input_file": "document",
    "document": "document",
}
"""The media among the types of content parts of all dialects."""
_BY_MIME = {"image": "image", "video": "video", "audio": "audio", "application": "document"}
_PAYLOAD = frozenset(
    {
        "type",
        "image_url",
        "video_url",
        "input_audio",
        "audio",
        "file",
        "source",
        "data",
        "file_data",
        "file_id",
        "file_url",
        "fileUri",
        "file_uri",
        "mimeType",
        "mime_type",
        "detail",
    }
)
"""Members of a media part that are not text, whatever they hold."""


def tokens_of(chars: int) -> int:
    """Tokens of a text of so many characters, at least one if there are any."""
    return -(-chars // BYTES_PER_TOKEN)


def tokens_in(text: str) -> int:
    """Tokens of a text, by what it takes in UTF-8: three bytes for most of what is not Latin."""
    return tokens_of(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))


def input_tokens(members: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> int:
    """Tokens of the request's members that hold content, such as `messages` and `tools`."""
    return sum(_weigh(read(members[name])) for name in names if name in members)


def read(raw: msgspec.Raw) -> object:
    """A member of a request; its own text where it holds what Python cannot (1e999, say)."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return bytes(raw).decode("utf-8", "replace")


def is_data(text: str) -> bool:
    """A text that is a file, written as a link."""
    return text.startswith("data:") and ";base64," in text[:100]


def media(part: dict[str, object]) -> int:
    """What a part counts for that is an image, a sound, a video or a document; 0 if it is none."""
    kind = _kind(part)
    if kind == "":
        return 0
    if kind == "image":
        return IMAGE_LOW if "low" in (part.get("detail"), _inner(part).get("detail")) else IMAGE
    if kind == "video":
        return VIDEO
    size = _payload_size(part)
    if kind == "audio":
        return max(1, -(-size // SOUND_BYTES))
    return DOCUMENT * max(1, -(-size // DOCUMENT_BYTES))


def beside(part: dict[str, object]) -> list[object]:
    """What a media part says beside its payload: a caption, a title, a context."""
    return [value for name, value in part.items() if name not in _PAYLOAD]


def _weigh(value: object) -> int:
    """The text of a JSON value, wherever it is; names of members weigh nothing. A number in a list
    is a token: so callers send what they have tokenized themselves.
    """
    total, todo = 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            total += IMAGE if is_data(item) else tokens_in(item)
        elif isinstance(item, list):
            if item and isinstance(item[0], int):
                total += len(item)
            else:
                todo.extend(item)
        elif isinstance(item, dict):
            weight = media(item)
            total += weight
            todo.extend(beside(item) if weight else item.values())
    return total


def _kind(part: dict[str, object]) -> str:
    """Of which kind of media a part is; of a document that comes as text, none."""
    kind = part.get("type")
    if isinstance(kind, str):
        found = _KINDS.get(kind, "")
        return "" if found == "document" and _is_text(part) else found
    mime = part.get("mimeType", part.get("mime_type"))
    if isinstance(mime, str) and ("data" in part or "fileUri" in part or "file_uri" in part):
        return _BY_MIME.get(mime.partition("/")[0], "document")
    return ""


def _is_text(part: dict[str, object]) -> bool:
    """A document in Anthropic's format whose source is text, or parts of their own."""
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def _inner(part: dict[str, object]) -> dict[str, object]:
    """The object of a part that is named as its type, or its source."""
    name = part.get("type")
    inner = part.get(name) if isinstance(name, str) else None
    inner = part.get("source") if inner is None else inner
    return inner if isinstance(inner, dict) else {}


def _payload_size(part: dict[str, object]) -> int:
    """Bytes of a payload that stands in the request as base64; 0 for one that is linked."""
    inner = _inner(part)
    for value in (inner.get("data"), inner.get("file_data"), part.get("data")):
        if isinstance(value, str):
            return len(value) * BASE64_BYTES[0] // BASE64_BYTES[1]
    data = part.get("file_data")
    return len(data) * BASE64_BYTES[0] // BASE64_BYTES[1] if isinstance(data, str) else 0
