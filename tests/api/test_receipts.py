"""Behaviour of signed receipts over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from apertura.documents.signing import Signer, is_genuine, key_id
from apertura.domain.receipts import NotGenuine, Verify, opened
from tests.api.client import COST, SECRET, Served, gateway, id_of, new_key
from tests.api.managing import admin_key, other_organization

KEYS = "/.well-known/apertura-receipts.json"
EARLIER = Signer("a root secret of an earlier time").public


async def published(served: Served) -> Mapping[str, Verify]:
    """The keys as anybody reads them."""
    answer = await served.get(KEYS)
    assert answer.status == 200
    rows = answer.json["keys"]
    return {row["id"]: partial(is_genuine, bytes.fromhex(row["public_key"])) for row in rows}


@pytest.mark.parametrize("base", ["/v1", "", "/v1/chat/completions"])
async def test_a_call_has_a_receipt_when_it_has_answered(served: Served, base: str) -> None:
    """With what it used and cost, signed by a key that anybody may read."""
    key = await served.key()
    call = (await served.chat(key)).headers["x-request-id"]

    answer = await served.get(f"{base}/receipts/{call}", key)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    said = opened(answer.body, await published(served))
    assert (said["call"], said["organization"], said["key"]) == (call, served.org_id, id_of(key))
    assert (said["model"], said["cost"], said["status"]) == ("small", COST, 200)
    assert (said["usage"]["input"], said["usage"]["output"]) == (9, 3)
    assert said["payer"] == "wallet"


async def test_a_receipt_of_the_same_call_is_the_same(served: Served) -> None:
    """Byte for byte; whichever key of the organization asks."""
    key = await served.key()
    path = f"/v1/receipts/{(await served.chat(key)).headers['x-request-id']}"

    asked = [
        await served.get(path, one) for one in (key, await served.key(), await admin_key(served))
    ]

    assert {answer.status for answer in asked} == {200}
    assert len({answer.body for answer in asked}) == 1


async def test_a_call_that_failed_has_one_too(served: Served) -> None:
    """It says that nothing was paid."""
    key = await served.key()
    served.wall.script("ok", "500", "500", "reset-before-head", "reset-before-head")
    call = (await served.chat(key)).headers["x-request-id"]

    said = opened((await served.get(f"/v1/receipts/{call}", key)).body, await published(served))

    assert (said["outcome"], said["cost"]) == ("failed", 0)


async def test_another_organizations_call_is_not_there(served: Served) -> None:
    """As one that never was."""
    call = (await served.chat(await served.key())).headers["x-request-id"]
    stranger = await new_key(served.database, (await other_organization(served)).id)

    for asked in (call, "req_" + "0" * 32, "x", "%00"):
        answer = await served.get(f"/v1/receipts/{asked}", stranger)
        assert (answer.status, answer.code) == (404, "receipt_not_found")
    assert (await served.get(f"/v1/receipts/{call}")).status == 401


async def test_earlier_keys_are_published(tmp_path: Path) -> None:
    """After those of the present secret, each once."""
    given = f"{EARLIER.hex()},{Signer(SECRET).public.hex()}"
    async with gateway(tmp_path, receipt_keys=given) as served:
        rows = (await served.get(KEYS)).json["keys"]

        keys = await published(served)
        key = await served.key()
        call = (await served.chat(key)).headers["x-request-id"]
        receipt = (await served.get(f"/v1/receipts/{call}", key)).body

    assert [(row["id"], row["status"]) for row in rows] == [
        (key_id(Signer(SECRET).public), "present"),
        (key_id(EARLIER), "earlier"),
    ]
    assert opened(receipt, keys)
    with pytest.raises(NotGenuine):
        opened(receipt, {key_id(EARLIER): keys[key_id(EARLIER)]})
