"""The wall: a scripted upstream that speaks every format and misbehaves on demand.

    async with Wall() as wall:
        await call(wall.url, model="reset-after-first-chunk")
        assert len(wall.calls("reset-after-first-chunk")) == 1

The model's name in the request picks the behaviour (`BEHAVIOURS` has them all), and may carry
options: `ok?chunks=20&delay=0.01`. `wall.script("any-name", "500", "ok")` gives the behaviours of
the next calls of any name, and `wall.behaviours["mine"] = function` adds one.
"""

from __future__ import annotations

from tests.wall.behaviours import BEHAVIOURS
from tests.wall.server import Wall, deaf, refused
from tests.wall.speech import content
from tests.wall.talk import Call, Hangup, Talk

__all__ = ["BEHAVIOURS", "Call", "Hangup", "Talk", "Wall", "content", "deaf", "refused"]
