"""The unmodified JavaScript clients, as their users install them; see the scripts in `js`.

Each script is one client, run by Node's own test runner against one model at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.clients.gateway import ROOT, Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    CALLED,
    EMBEDDERS,
    HELLO,
    RESULT,
    SAID,
    TOOL,
    USAGE,
    WEATHER,
    is_scripted,
)

FOLDER = ROOT / "tests" / "clients" / "js"
SCRIPTS = ("openai.test.mjs", "anthropic.test.mjs", "ai-sdk.test.mjs")
PATIENCE = 60
MATRIX = {
    "questions": {"hello": HELLO, "weather": WEATHER},
    "said": SAID,
    "tool": TOOL,
    "about": ABOUT,
    "arguments": ARGUMENTS,
    "called": CALLED,
    "result": RESULT,
    "usage": USAGE,
    "embedders": EMBEDDERS,
}

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").is_dir(),
        reason="`npm ci` has not been run in tests/clients/js",
    ),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_client(gateway: Gateway, model: str, script: str) -> None:
    """Answers, streams, tools and refusals, as the client's own types understand them."""
    given = {
        "APERTURA_ROOT": gateway.root,
        "APERTURA_KEY": gateway.key,
        "APERTURA_MODEL": model,
        "APERTURA_SCRIPTED": "1" if is_scripted(model) else "0",
        "APERTURA_MATRIX": json.dumps(MATRIX),
        "NODE_OPTIONS": "",
    }
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", script],
        cwd=FOLDER,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert 0 == done.returncode, done.stdout[-6000:] + done.stderr[-2000:]
