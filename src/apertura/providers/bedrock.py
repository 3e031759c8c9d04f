"""Amazon Bedrock, by its Converse API and a Bedrock API key.

What it is not: the format (`wire.bedrock_converse`), or a signer: a long-term or short-term API key
goes as a bearer token, so that no secret of an account needs to be here.

The rule that keeps it honest: a model's name, which may be an ARN, is quoted into one segment of
the URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from apertura.errors import AperturaError
from apertura.providers.base import Ask, HttpProvider
from apertura.wire import bedrock_converse


class Bedrock(HttpProvider):
    """One region."""

    stream_type = b"application/vnd.amazon.eventstream"

    def path(self, ask: Ask) -> str:
        """By model and verb."""
        verb = "converse-stream" if ask.stream else "converse"
        return f"/model/{quote(ask.model, safe='')}/{verb}"

    def read_error(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> AperturaError:
        """As Amazon says it: with a quota of our account as status 400."""
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        return bedrock_converse.read_error(status, body, texts)
