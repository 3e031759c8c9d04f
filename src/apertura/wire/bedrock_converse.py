"""The dialect `bedrock_converse`: Amazon Bedrock's Converse API, which only providers speak.

The verbs stand in `bedrock_express` (requests), `bedrock_reply` (answers) and `bedrock_errors`
(failures); the frames of its streams in `eventstream`. What it is not: the URL, which names the
model.

The rule that keeps it honest: no verb is missing and none has a second home.
"""

from __future__ import annotations

from apertura.wire.bedrock_errors import read_error
from apertura.wire.bedrock_express import express
from apertura.wire.bedrock_reply import decoder, parse_reply

__all__ = ["decoder", "express", "parse_reply", "read_error"]
