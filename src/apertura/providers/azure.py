"""OpenAI's models at Azure.

Without `api_version` the resource's `/openai/v1` is asked, which is as OpenAI's own API; with one,
the older place of each deployment. What it is not: the format (`wire.openai_chat`), which differs
only in what may be missing.

The rule that keeps it honest: `upstream_model` is the name of a deployment, and goes into a URL
only as one that needs no quoting.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from apertura.domain.catalog import CatalogError
from apertura.providers.base import Ask, HttpProvider
from apertura.providers.compatible import OTHERS, PATHS

_DEPLOYMENT = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


class Azure(HttpProvider):
    """One resource; `base_url` ends at its host, or at `/openai/v1`."""

    def path(self, ask: Ask) -> str:
        """By version. Raises: CatalogError, for a deployment that is none."""
        place = PATHS[ask.dialect] if ask.operation == "chat" else OTHERS[ask.operation]
        if not self.row.api_version:
            return place if self.base_url.endswith("/v1") else f"/openai/v1{place}"
        version = f"?api-version={quote(self.row.api_version, safe='')}"
        if ask.dialect == "openai_responses" and ask.operation == "chat":
            return f"/openai/responses{version}"
        if not _DEPLOYMENT.fullmatch(ask.model):
            raise CatalogError(f"upstream_model {ask.model!r} cannot stand in a URL")
        return f"/openai/deployments/{ask.model}{place}{version}"
