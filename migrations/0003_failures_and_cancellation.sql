-- What was wrong with an attempt, trials that the user does not want, and sweeps that pause.
--
-- Why: a failure without its evidence cannot be explained later, so the last lines of both logs are kept with the
-- attempt, in the transaction that ends it, and apart from `attempts`, which every list of trials reads. An attempt
-- after one that ran out of memory divides its steps further; that is recorded because dropout then draws other masks.
--
-- New words of a CHECK change no row, and SQLite has no ALTER for them: their text is replaced where it stands, as
-- its documentation of ALTER TABLE describes, and the statements after it make every connection read the schema anew.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(
    sql,
    'CHECK (state IN (''running'', ''interrupted'', ''finished''))',
    'CHECK (state IN (''running'', ''paused'', ''interrupted'', ''finished''))'
)
WHERE type = 'table' AND name = 'sweeps';

UPDATE sqlite_schema
SET sql = replace(
    replace(
        sql,
        'CHECK (state IN (''queued'', ''running'', ''completed'', ''diverged'', ''failed''))',
        'CHECK (state IN (''queued'', ''running'', ''completed'', ''diverged'', ''failed'', ''cancelled''))'
    ),
    'CHECK ((state IN (''completed'', ''diverged'', ''failed'')) = (ended_at_ms IS NOT NULL))',
    'CHECK ((state IN (''completed'', ''diverged'', ''failed'', ''cancelled'')) = (ended_at_ms IS NOT NULL))'
)
WHERE type = 'table' AND name = 'trials';

PRAGMA writable_schema = RESET;

ALTER TABLE attempts
ADD COLUMN accumulation_factor INTEGER NOT NULL DEFAULT 1 CHECK (accumulation_factor >= 1);

CREATE TABLE evidence (
    attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
    log TEXT NOT NULL,
    stderr TEXT NOT NULL
) STRICT;
