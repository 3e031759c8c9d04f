"""What every test shares: how hard Hypothesis tries.

The small profile tries the same examples each time, so that a change is judged by what it changes;
`make soak` sets HYPOTHESIS_PROFILE=soak, which searches for new ones and takes its time.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, Phase, settings

# How long an example takes depends on what else this machine does.
TIMING = [HealthCheck.too_slow]

settings.register_profile(
    "small", max_examples=50, deadline=None, derandomize=True, suppress_health_check=TIMING
)
settings.register_profile(
    "soak", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=TIMING
)
# For tools/mutants.py: a failure is enough, and is not made smaller.
settings.register_profile(
    "mutants", settings.get_profile("small"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "small"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only `make soak` has the time for is left out elsewhere."""
    if os.environ.get("HYPOTHESIS_PROFILE") != "soak":
        left_out = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


# Foreign clients live in environments of their own: see the Makefile.
collect_ignore = [] if find_spec("openai") else ["clients"]
