"""Behaviour of what a caller is told of a body that its format does not allow."""

from __future__ import annotations

import msgspec
import pytest

from apertura.errors import BadRequest
from apertura.wire import faults


def test_a_parameter_nested_without_end_has_a_name_with_one() -> None:
    """A name is for a person to find it, and for a header and a log line."""
    depth = 400
    body = b'{"a":' * depth + b"1e999" + b"}" * depth

    with pytest.raises(BadRequest) as caught:
        faults.read(body, msgspec.json.decode)

    assert caught.value.param is not None
    assert len(caught.value.param) <= 200
    assert len(caught.value.message) <= 300
