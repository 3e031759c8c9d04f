"""Play money for `--dev`: the demo processor, in the server's own process, on the loopback address.

What it is not: a processor. The rule that keeps it honest: it is started only with `--dev`, and not
where a real key is set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from apertura.payments.demo.server import SECRET, Demo
from apertura.settings import Settings

KEY = "sk_test_demo"
FILE = "demo-payments.json"
"""In the data folder: the cards and plans of play money."""


@asynccontextmanager
async def demo_payments(settings: Settings, url: str) -> AsyncIterator[Settings]:
    """The settings with the demo processor in them, which tells the server at `url` of payments."""
    if not settings.dev or settings.stripe_key:
        yield settings
        return
    file = Path(settings.data) / FILE
    async with Demo(webhook=f"{url}/webhooks/stripe", file=file) as demo:
        yield msgspec.structs.replace(
            settings,
            stripe_key=KEY,
            stripe_webhook_secret=SECRET,
            stripe_url=demo.url,
            public_url=settings.public_url or url,
        )
