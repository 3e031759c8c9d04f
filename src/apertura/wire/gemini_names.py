"""The two names of each member in Gemini's format: `systemInstruction` and `system_instruction`.

JSON of protocol buffers may use either, and clients do. Here a body with the second kind is brought
to the first, so that nothing else needs to know. What it is not: a walk through all of a body; the
arguments of tools, their answers and schemas are the caller's own and keep their names.

The rule that keeps it honest: a body that already uses the first names is returned as it is, and a
member under both names is refused, because Google and we might not take the same one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from apertura.wire import faults
from apertura.wire.openai_shapes import Object

_decode_object = msgspec.json.Decoder(Object).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class _Message:
    """A message: its members of more than one word, and those that are messages themselves."""

    words: str = ""
    inner: Mapping[str, _Message] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.words.split(), *self.inner):
            if (snake := _snake(name)) != name:
                self.renames[snake] = name


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name)


_BLOB = _Message("mimeType displayName")
_FILE = _Message("mimeType fileUri displayName")
_RESULT = _Message(
    "willContinue", {"parts": _Message(inner={"inlineData": _BLOB, "fileData": _FILE})}
)
_PART = _Message(
    "thoughtSignature functionCall executableCode codeExecutionResult toolCall toolResponse"
    " partMetadata mediaResolution",
    {
        "inlineData": _BLOB,
        "fileData": _FILE,
        "functionResponse": _RESULT,
        "videoMetadata": _Message("startOffset endOffset"),
    },
)
_CONTENT = _Message(inner={"parts": _PART})
_DECLARATION = _Message("parametersJsonSchema responseJsonSchema")
_VOICE = _Message(inner={"prebuiltVoiceConfig": _Message("voiceName")})
_SPEAKERS = _Message(inner={"speakerVoiceConfigs": _Message(inner={"voiceConfig": _VOICE})})
_TOOL = _Message(
    "googleSearch googleSearchRetrieval codeExecution urlContext googleMaps computerUse fileSearch"
    " mcpServers",
    {"functionDeclarations": _DECLARATION},
)
_CONFIG = _Message(
    "topP topK candidateCount maxOutputTokens stopSequences responseMimeType responseSchema"
    " responseJsonSchema presencePenalty frequencyPenalty responseLogprobs responseModalities"
    " mediaResolution responseFormat enableEnhancedCivicAnswers",
    {
        "thinkingConfig": _Message("includeThoughts thinkingBudget thinkingLevel"),
        "imageConfig": _Message("aspectRatio imageSize"),
        "speechConfig": _Message(
            "languageCode", {"voiceConfig": _VOICE, "multiSpeakerVoiceConfig": _SPEAKERS}
        ),
    },
)
_CALLING = _Message("allowedFunctionNames")
_REQUEST = _Message(
    "safetySettings cachedContent serviceTier",
    {
        "contents": _CONTENT,
        "systemInstruction": _CONTENT,
        "tools": _TOOL,
        "toolConfig": _Message("retrievalConfig", {"functionCallingConfig": _CALLING}),
        "generationConfig": _CONFIG,
    },
)
_COUNT = _Message(_REQUEST.words, {**_REQUEST.inner, "generateContentRequest": _REQUEST})


_NEVER: Any = Annotated[int, Meta(gt=1, lt=0)] | UnsetType


def _probe(message: _Message) -> Any:
    """A type that decodes only where no member has a name of the second kind, however it is
    written: one that is there is no number above 1 and below 0.
    """
    fields: list[tuple[str, Any, Any]] = [(name, _NEVER, UNSET) for name in message.renames]
    for name, inner in message.inner.items():
        kind = _probe(inner)
        fields.append((name, GenericAlias(list, (kind,)) | kind | None, None))
    return msgspec.defstruct("Probe", fields, gc=False)


_decode_probe = msgspec.json.Decoder(_probe(_COUNT)).decode
"""In C, and so at a fiftieth of what looking for the names would cost."""


def camel(body: bytes) -> bytes:
    """The same request with the names that `gemini_shapes` knows. Raises: BadRequest."""
    try:
        _decode_probe(body)
        return body
    except faults.NOT_READ:
        pass  # or something else is wrong with it, which will be said in the names of the shapes
    try:
        body.isascii() or body.decode()
        return _renamed(msgspec.Raw(body), _COUNT, "")
    except faults.NOT_READ as found:
        raise faults.refusal(found) from None


def _renamed(value: msgspec.Raw | bytes, message: _Message, path: str) -> bytes:
    """One message, or a list of them, with its members renamed."""
    data = bytes(value)
    opening = data.lstrip()[:1]
    if opening == b"[":
        items = [
            msgspec.Raw(_renamed(item, message, f"{path}[{index}]"))
            for index, item in enumerate(_decode_list(data))
        ]
        return _encode(items)
    if opening != b"{":
        return data
    members: dict[str, msgspec.Raw] = {}
    for name, found in _decode_object(data).items():
        known = message.renames.get(name, name)
        place = f"{path}.{known}" if path else known
        if known in members:
            raise faults.invalid(place, "is given twice, under both of its names")
        inner = message.inner.get(known)
        members[known] = found if inner is None else msgspec.Raw(_renamed(found, inner, place))
    return _encode(members)
