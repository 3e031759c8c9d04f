"""The demo processor's world in a file, so that who comes back finds their cards and plans.

What it is not: a database; the file is written whole. The rule that keeps it honest: it is written
before the answer to what changed it leaves, and a file is there whole or as it was before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from apertura.payments.demo.world import Kept, World


def save(world: World, path: Path) -> None:
    """Write everything that is there."""
    replies = {
        key: [kept.asked.decode("latin-1"), kept.status, kept.body.decode("latin-1")]
        for key, kept in world.replies.items()
    }
    held = {"ahead": world.ahead, "things": list(world.things.values()), "replies": replies}
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(held))
    os.replace(beside, path)


def load(world: World, path: Path) -> None:
    """Take up what was written; nothing, if nothing was. Raises: ValueError, KeyError."""
    try:
        held = json.loads(path.read_text())
    except FileNotFoundError:
        return
    world.ahead = held["ahead"]
    world.things = {thing["id"]: thing for thing in held["things"]}
    world.replies = {
        key: Kept(asked.encode("latin-1"), status, body.encode("latin-1"))
        for key, (asked, status, body) in held["replies"].items()
    }
