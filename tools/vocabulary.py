"""Writes the shipped vocabulary, `src/apertura/wire/vocabulary/`, from OpenAI's own file.

    python tools/vocabulary.py o200k_base.tiktoken

The file comes in the wheels of litellm and llama-index-core (as `fb374d419588a4632f3f557e76b4b70a
ebbca790`, the name that tiktoken gives it in its cache). What is written holds the same in a third
of the space and loads faster: the length of each token, then the tokens, in the order of their
ranks, compressed.

The rule that keeps it honest: a file is taken only if its digest is the one that tiktoken itself
asks for; `tests/wire/test_tokens.py` turns what is shipped back into that file and asks again.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib
from pathlib import Path

SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
SHIPPED = Path(__file__).parents[1] / "src/apertura/wire/vocabulary/o200k_base.z"


def main() -> None:
    data = Path(sys.argv[1]).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit("This is not the o200k_base that tiktoken asks for.")
    lines = [line.split() for line in data.splitlines()]
    if [int(rank) for _, rank in lines] != list(range(len(lines))):
        sys.exit("The ranks are not in order.")
    tokens = [base64.b64decode(token) for token, _ in lines]
    packed = bytes(map(len, tokens)) + b"".join(tokens)
    SHIPPED.write_bytes(zlib.compress(len(tokens).to_bytes(4, "big") + packed, 9))


if __name__ == "__main__":
    main()
