"""What the fuzzers begin with: the transcripts, and requests of every parameter and of two turns.

A seed has eight bytes that steer in front (`surfaces`). Bedrock's streams stand here as lines; the
frames are made around them, so that a mutation reaches what is in a frame and not just checksums.
"""

from __future__ import annotations

import json
import runpy
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from struct import pack
from typing import Any, get_args

from apertura.wire import sse
from apertura.wire.rerank import Shape
from tests.source import ROOT
from tests.wire import test_pairs

STEER = 8
SHAPES: tuple[Shape, ...] = get_args(Shape)
TRANSCRIPTS = ROOT / "tests" / "wire" / "transcripts"
_TABLE = runpy.run_path(str(ROOT / "tools" / "dialect_table.py"))

PLAIN: Mapping[str, bytes] = {
    name: json.dumps(body).encode() for name, body in _TABLE["BASES"].items()
}
"""The smallest request of each format."""

_PIXEL = "data:image/png;base64,iVBORw0KGgo="
_WITH_MEDIA: Mapping[str, dict[str, Any]] = {
    "anthropic_messages": {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": "iVBORw0KGgo=",
                        },
                    },
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                    },
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "text/plain", "data": "w6k="},
                    },
                    {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "is_error": True,
                        "content": [{"type": "text", "text": "x"}],
                    }
                ],
            },
            {"role": "assistant", "content": "pre"},
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {"inlineData": {"mimeType": "text/csv", "data": "w6k="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/x.png"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "QUJD"}
                ],
            },
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}],
            },
        ],
        "generationConfig": {
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
        },
        "safetySettings": [],
    },
    "openai_chat": {
        "messages": [
            {"role": "developer", "content": "s"},
            {
                "role": "user",
                "name": "n",
                "content": [
                    {"type": "text", "text": "t"},
                    {"type": "image_url", "image_url": {"url": _PIXEL, "detail": "low"}},
                    {
                        "type": "file",
                        "file": {
                            "file_data": "data:text/plain;base64,w6k=",
                            "filename": "a.pdf",
                        },
                    },
                    {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "reasoning_content": "r",
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "x"}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "extra_body": {"x": 1},
    },
    "openai_completions": {
        "prompt": ["a"],
        "suffix": None,
        "echo": False,
        "best_of": 1,
        "stream": True,
    },
    "openai_responses": {
        "instructions": "s",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "t"},
                    {"type": "input_image", "image_url": _PIXEL},
                    {
                        "type": "input_file",
                        "file_data": "data:application/pdf;base64,QUJD",
                        "filename": "a.pdf",
                    },
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "r"}],
                "encrypted_content": "QUJD",
            },
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
            {
                "type": "function_call_output",
                "call_id": "t",
                "output": [{"type": "input_text", "text": "x"}],
            },
            {"type": "item_reference", "id": "msg_1"},
        ],
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "store": True,
        "previous_response_id": "resp_1",
        "include": ["reasoning.encrypted_content"],
    },
}
"""What `BODIES` has not: pictures, files, results of tools, thoughts."""


def requests(name: str) -> list[bytes]:
    """Requests in a caller's format."""
    base = _TABLE["BASES"][name]
    bodies = [{**base, **members} for members in _TABLE["BODIES"][name].values()]
    together = {
        key: value for members in _TABLE["BODIES"][name].values() for key, value in members.items()
    }
    bodies += [{**base, **_WITH_MEDIA[name]}, {**base, **together}]
    if name in test_pairs.HISTORIES:
        bodies += [
            test_pairs.second_turn(
                caller, test_pairs.whole(_said(provider, states), caller, provider)
            )
            for caller, provider, states in test_pairs.TWO_TURNS
            if caller == name
        ]
    return [PLAIN[name], *(json.dumps(body).encode() for body in bodies)]


def _said(provider: str, states: list[tuple[str, str]]) -> Any:
    return test_pairs.conversation(provider, states)


def streams(name: str) -> list[bytes]:
    """Streams of a provider's format; those of Bedrock as lines."""
    if name == "bedrock_converse":
        return [_as_lines(path) for path in sorted((TRANSCRIPTS / name).glob("*.events.json"))]
    return [path.read_bytes() for path in _files(name, "*.sse")]


def wholes(name: str) -> list[bytes]:
    """Whole replies of a provider's format, its errors among them."""
    return [path.read_bytes() for path in _files(name, "*.json") if ".events." not in path.name]


def _files(name: str, pattern: str) -> list[Path]:
    folder = TRANSCRIPTS if name == "openai_chat" else TRANSCRIPTS / name
    return sorted(folder.glob(pattern))


def _as_lines(path: Path) -> bytes:
    events = json.loads(path.read_text())
    return b"".join(
        sse.frame(json.dumps(event["payload"]).encode(), event["type"].encode()) for event in events
    )


def framed(data: bytes) -> bytes:
    """Lines as Amazon's frames: the name of an event is its type, or that of an exception."""
    reader = sse.Reader()
    return b"".join(_frame(event.data, event.name or b"") for event in reader.feed(data))


def _frame(payload: bytes, name: bytes) -> bytes:
    kind, name = (b"exception", name) if name.endswith(b"Exception") else (b"event", name[:200])
    headers = _header(b":message-type", kind) + _header(b":%b-type" % kind, name[:200])
    start = pack(">II", 16 + len(headers) + len(payload), len(headers))
    data = start + pack(">I", zlib.crc32(start)) + headers + payload
    return data + pack(">I", zlib.crc32(data))


def _header(name: bytes, value: bytes) -> bytes:
    return pack(">B", len(name)) + name + b"\x07" + pack(">H", len(value)) + value


_ODD: Mapping[str, list[object]] = {
    "embed": [
        {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "base64"},
        {"model": "m", "input": [[1, 2], [3]], "task": "retrieval.query", "user": "u"},
        {
            "content": {"parts": [{"text": "a"}]},
            "taskType": "RETRIEVAL_QUERY",
            "outputDimensionality": 3,
        },
        {
            "requests": [
                {
                    "model": "models/m",
                    "content": {"parts": [{"text": "a"}]},
                    "task_type": "CLUSTERING",
                    "embed_content_config": {"output_dimensionality": 2, "title": "t"},
                }
            ]
        },
    ],
    "embedded": [
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [0.1, -2, 3e-5]},
                {"object": "embedding", "index": 1, "embedding": [1, 2, 3]},
            ],
            "model": "m",
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        },
        {
            "data": [
                {"index": 1, "embedding": "AACAPwAAgD8AAIA/"},
                {"index": 0, "embedding": "AACAPwAAgD8AAIA/"},
            ],
            "usage": {"total_tokens": 4},
            "error": {},
        },
    ],
    "rank": [
        {
            "model": "m",
            "query": "q",
            "documents": ["a", {"text": "b"}],
            "top_n": 1,
            "return_documents": True,
            "rank_fields": ["text"],
            "max_chunks_per_doc": 3,
        },
    ],
    "ranked": [
        {
            "results": [
                {"index": 1, "relevance_score": 0.9},
                {"index": 0, "relevance_score": 0.1},
            ],
            "meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 5}},
        },
        {
            "data": [{"index": 1, "score": 0.9}, {"index": 0, "score": 1}],
            "usage": {"total_tokens": 7.0},
        },
        {"scores": [0.5, 0.25], "input_tokens": 9},
    ],
    "errors": [
        {"error": {"message": "bad key sk-abcdefgh", "type": "x", "code": "y", "param": "a.b"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        [
            {
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "message": "Quota",
                    "details": [
                        {"@type": "x/RetryInfo", "retryDelay": "7s"},
                        {"reason": "API_KEY_INVALID"},
                    ],
                }
            }
        ],
        {"message": "Input is too long for requested model."},
        {"error": "model not found", "detail": [{"msg": "m", "loc": ["body", 0]}]},
    ],
}
"""Bodies that no transcript holds."""


@cache
def seeds(surface: str) -> tuple[bytes, ...]:
    """Cases for a surface, by its name."""
    kind, _, name = surface.partition("-")
    plain = {
        "lines": lambda: streams("openai_chat") + streams("anthropic_messages"),
        "frames": lambda: [framed(data) for data in streams("bedrock_converse")],
        "decode": lambda: streams(name),
        "translate": lambda: streams(name),
        "listen": lambda: streams(name),
        "whole": lambda: wholes(name),
        "ask": lambda: requests(name),
        "count": lambda: requests("gemini") + requests("anthropic_messages"),
    }
    found = plain[kind]() if kind in plain else [json.dumps(body).encode() for body in _ODD[kind]]
    return tuple(bytes(STEER) + data for data in found)
