"""All jobs of a process, and how often each is seen to.

What it is not: what a job does, or when its next turn comes (`schedule`). The rule that keeps it
honest: what happens by itself stands here, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from apertura.jobs.alerts import Watch
from apertura.jobs.audit import Auditor
from apertura.jobs.idempotency import Forgetting
from apertura.jobs.mail import Postman
from apertura.jobs.payments import Reconciling
from apertura.jobs.plans import Renewals
from apertura.jobs.schedule import Job
from apertura.jobs.top_ups import TopUps
from apertura.mail.base import open_mailer
from apertura.mail.messages import Brand
from apertura.payments.base import PaymentProcessor
from apertura.relay.idempotency import Replays
from apertura.settings import Settings
from apertura.store import promos
from apertura.store.database import Database
from apertura.store.plans import Plans

MINUTE = 60


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs work with. `worker` names this process among those of the database."""

    settings: Settings
    database: Database
    worker: str
    plans: Plans
    replays: Replays
    auditor: Auditor
    payments: PaymentProcessor | None


def jobs(tools: Tools) -> Sequence[Job]:
    """Every job, the frequent ones first."""
    settings, database, plans = tools.settings, tools.database, tools.plans
    mailer = open_mailer(settings.smtp_url, settings.mail_from, settings.name)
    brand = Brand(name=settings.name, public_url=settings.public_url)
    table = [
        Job("mail", 5, Postman(database, mailer, brand, tools.worker).step),
        Job("alerts", 15, Watch(database).step),
        Job("plans", MINUTE, Renewals(database, plans).step),
        Job("promos", MINUTE, partial(_end_promos, database)),
        Job("idempotency", MINUTE, Forgetting(database, tools.replays).step),
    ]
    if tools.payments is not None:
        table.append(Job("top-ups", 10, TopUps(database, tools.payments, plans).step))
        table.append(Job("payments", MINUTE, Reconciling(database, tools.payments, plans).step))
    if settings.audit_minutes:
        table.append(Job("audit", settings.audit_minutes * MINUTE, tools.auditor.step))
    return table


async def _end_promos(database: Database, now_ms: int) -> None:
    await promos.end_due(database, now_ms)
