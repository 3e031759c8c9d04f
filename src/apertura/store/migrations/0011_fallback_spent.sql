-- What the wallet had paid beside the plan when the cycle ended; its fund goes with it. In the
-- current cycle the fund says so.
ALTER TABLE plan_cycles ADD COLUMN fallback_spent BIGINT NOT NULL DEFAULT 0;

-- The same of the cycles that have ended already.
UPDATE plan_cycles SET fallback_spent = past.spent
FROM (SELECT id, cap - posted AS spent FROM funds WHERE kind = 'fallback') AS past
WHERE ended_ms IS NOT NULL AND past.id = (
    SELECT 'org:' || org_id || ':fallback:' || plan_cycles.subscription_id || '.' || plan_cycles.number
    FROM subscriptions WHERE subscriptions.id = plan_cycles.subscription_id
);

DELETE FROM leases WHERE amount = 0 AND fund_id IN (SELECT id FROM funds WHERE kind = 'fallback');

DELETE FROM funds WHERE kind = 'fallback' AND held = 0
AND NOT EXISTS (SELECT 1 FROM leases WHERE fund_id = funds.id)
AND id IN (
    SELECT 'org:' || org_id || ':fallback:' || plan_cycles.subscription_id || '.' || plan_cycles.number
    FROM plan_cycles JOIN subscriptions ON subscriptions.id = plan_cycles.subscription_id
    WHERE plan_cycles.ended_ms IS NOT NULL
);
