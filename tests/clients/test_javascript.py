"""The unmodified JavaScript clients, as their users install them; see the scripts in `js`.

Each script is one client. Node's own test runner runs it once for all models, because starting
takes longer than asking; what it says of a model is looked at here.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess

import pytest

from tests.clients.gateway import ROOT, Gateway
from tests.clients.matrix import (
    ABOUT,
    ARGUMENTS,
    CALLED,
    EMBEDDERS,
    EVERY_MODEL,
    HELLO,
    RESULT,
    SAID,
    SCRIPTED_MODELS,
    TOOL,
    USAGE,
    WEATHER,
)
from tests.simulator.simulators import missing

FOLDER = ROOT / "tests" / "clients" / "js"
SCRIPTS = ("openai.test.mjs", "anthropic.test.mjs", "ai-sdk.test.mjs")
PATIENCE = 120
MATRIX = {
    "models": [name for name in EVERY_MODEL if not missing(name.partition("-")[0])],
    "scripted": SCRIPTED_MODELS,
    "embedders": EMBEDDERS,
    "questions": {"hello": HELLO, "weather": WEATHER},
    "said": SAID,
    "tool": TOOL,
    "about": ABOUT,
    "arguments": ARGUMENTS,
    "called": CALLED,
    "result": RESULT,
    "usage": USAGE,
}
RESULT_LINE = re.compile(r"^(?=(?:not )?ok \d+ - )", re.MULTILINE)

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
    said = results(script, gateway.root, gateway.key)
    ours = [text for text in RESULT_LINE.split(said) if f" - {model}: " in text]

    assert len(ours) >= 5, said[-6000:]
    wrong = [text for text in ours if not text.startswith("ok ")]
    assert not wrong, "\n".join(wrong)


@functools.cache
def results(script: str, root: str, key: str) -> str:
    """What the script says, in the form of TAP."""
    given = {
        "APERTURA_ROOT": root,
        "APERTURA_KEY": key,
        "APERTURA_MATRIX": json.dumps(MATRIX),
        "NODE_OPTIONS": "",
    }
    done = subprocess.run(
        ["node", "--test-reporter=tap", script],
        cwd=FOLDER,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr
