-- Trials that are not points of a grid or draws: named ahead by the user, or outside the search.
--
-- Why: a winner is trained once more on all data, and defaults and probes are compared with the search without being
-- part of it. As in 0003, the text of the CHECK is replaced where it stands.

PRAGMA writable_schema = ON;

UPDATE sqlite_schema
SET sql = replace(
    sql,
    'CHECK (kind IN (''grid'', ''random''))',
    'CHECK (kind IN (''grid'', ''random'', ''enqueued'', ''baseline'', ''probe'', ''refit''))'
)
WHERE type = 'table' AND name = 'trials';

PRAGMA writable_schema = RESET;
