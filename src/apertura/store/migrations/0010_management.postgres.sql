-- The same of the days before. A day is written differently from its milliseconds by each engine.
UPDATE usage_days SET failed = past.failed, took_ms = past.took_ms
FROM (
    SELECT key_id, model, to_char(to_timestamp(started_ms / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
        SUM(CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END) AS failed,
        SUM(CASE WHEN outcome = 'failed' THEN 0 ELSE total_ms END) AS took_ms
    FROM usage GROUP BY 1, 2, 3
) AS past
WHERE usage_days.key_id = past.key_id AND usage_days.model = past.model
    AND usage_days.day = past.day;
