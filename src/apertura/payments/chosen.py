"""The payment processor of an installation, by its settings.

What it is not: a processor. The rule that keeps it honest: without a secret to check its messages
by, no processor is set up at all.
"""

from __future__ import annotations

from apertura.payments.base import PaymentProcessor
from apertura.payments.stripe import Stripe
from apertura.settings import Settings, SettingsError


def processor_of(settings: Settings) -> PaymentProcessor | None:
    """Who takes cards; None where no key is set. Raises: SettingsError: only half of it is set."""
    if not settings.stripe_key:
        return None
    if not settings.stripe_webhook_secret:
        raise SettingsError(
            "stripe_key is set, but stripe_webhook_secret is not: what Stripe tells could not be "
            "told from what others do. Stripe shows it with the webhook endpoint."
        )
    return Stripe(
        settings.stripe_key,
        settings.stripe_webhook_secret,
        public_url=settings.public_url,
        url=settings.stripe_url,
    )
