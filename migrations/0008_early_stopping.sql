-- Trials that wait at a rung, trials that were stopped there, and why.
--
-- Why: a trial that is stopped early is a result, and no failure; what it was compared by has to be there later, for
-- people who ask and for the scheduler, which makes its decisions again of these rows after a kill.
--
-- New words of a CHECK go in as in 0003. Optuna calls a stopped trial PRUNED; one that waits has begun and not ended.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(
    replace(
        sql,
        'CHECK (state IN (''queued'', ''running'', ''completed'', ''diverged'', ''failed'', ''cancelled''))',
        'CHECK (state IN (''queued'', ''running'', ''waiting'', ''completed'', ''stopped'', ''diverged'', ''failed'', ''cancelled''))'
    ),
    'CHECK ((state IN (''completed'', ''diverged'', ''failed'', ''cancelled'')) = (ended_at_ms IS NOT NULL))',
    'CHECK ((state IN (''completed'', ''stopped'', ''diverged'', ''failed'', ''cancelled'')) = (ended_at_ms IS NOT NULL))'
)
WHERE type = 'table' AND name = 'sweep_trials';

UPDATE sqlite_schema
SET sql = replace(
    sql,
    'CHECK (ending IN (''completed'', ''diverged'', ''released'', ''abandoned'', ''failed''))',
    'CHECK (ending IN (''completed'', ''diverged'', ''released'', ''paused'', ''abandoned'', ''failed''))'
)
WHERE type = 'table' AND name = 'attempts';

PRAGMA writable_schema = RESET;

CREATE TABLE rungs (
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    rung INTEGER NOT NULL CHECK (rung >= 0),
    step INTEGER NOT NULL CHECK (step >= 1),
    value REAL,
    marks BLOB,
    reached_at_ms INTEGER NOT NULL,
    decision TEXT CHECK (decision IN ('promoted', 'stopped')),
    rank INTEGER CHECK (rank >= 1),
    among INTEGER CHECK (among >= rank),
    place INTEGER CHECK (place >= 0),
    decided_at_ms INTEGER,
    PRIMARY KEY (trial, rung),
    CHECK ((decision IS NULL) = (rank IS NULL)),
    CHECK ((decision IS NULL) = (among IS NULL)),
    CHECK ((decision IS NULL) = (place IS NULL)),
    CHECK ((decision IS NULL) = (decided_at_ms IS NULL))
) STRICT;

DROP VIEW trials;

CREATE VIEW trials AS
SELECT
    id AS trial_id,
    number - 1 AS number,
    sweep AS study_id,
    CASE
        WHEN state = 'queued' THEN 'WAITING'
        WHEN state IN ('running', 'waiting') THEN 'RUNNING'
        WHEN state = 'stopped' THEN 'PRUNED'
        WHEN state = 'completed' AND objective_value IS NOT NULL THEN 'COMPLETE'
        ELSE 'FAIL'
    END AS state,
    CASE
        WHEN state <> 'queued' THEN strftime(
            '%Y-%m-%d %H:%M:%f000',
            coalesce(
                (
                    SELECT attempts.leased_at_ms FROM attempts
                    WHERE attempts.trial = sweep_trials.id
                    ORDER BY attempts.number
                    LIMIT 1
                ),
                ended_at_ms
            ) / 1000.0,
            'unixepoch'
        )
    END AS datetime_start,
    strftime('%Y-%m-%d %H:%M:%f000', ended_at_ms / 1000.0, 'unixepoch') AS datetime_complete
FROM sweep_trials
WHERE kind NOT IN ('baseline', 'probe', 'refit');
