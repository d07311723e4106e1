-- Who does what: sweeps, the scheduler's lives, workers, trials and their attempts.
--
-- Why first: everything else points here. A trial is a plan (configuration and replicate); an attempt is one
-- process life of it; a worker is a process. They are apart because a trial outlives its attempts, and a
-- worker can serve several of them.

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    identity TEXT NOT NULL CHECK (length(identity) = 64),
    definition TEXT NOT NULL CHECK (json_valid(definition)),
    source_path TEXT,
    source_text TEXT NOT NULL,
    overrides TEXT NOT NULL CHECK (json_valid(overrides)),
    facts TEXT NOT NULL CHECK (json_valid(facts)),
    objective_metric TEXT NOT NULL CHECK (objective_metric <> ''),
    objective_goal TEXT NOT NULL CHECK (objective_goal IN ('maximize', 'minimize')),
    objective_at TEXT NOT NULL CHECK (objective_at IN ('best', 'last')),
    state TEXT NOT NULL CHECK (state IN ('running', 'interrupted', 'finished')),
    created_at_ms INTEGER NOT NULL,
    version TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    machine TEXT NOT NULL CHECK (json_valid(machine)),
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    exit TEXT,
    CHECK ((ended_at_ms IS NULL) = (exit IS NULL))
) STRICT;

CREATE INDEX sessions_of_sweep ON sessions (sweep);

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    directory TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    pid INTEGER,
    process_start INTEGER,
    boot_id TEXT,
    version TEXT,
    machine TEXT CHECK (json_valid(machine)),
    up_offset INTEGER NOT NULL DEFAULT 0 CHECK (up_offset >= 0),
    up_next_seq INTEGER NOT NULL DEFAULT 1 CHECK (up_next_seq >= 1),
    down_next_seq INTEGER NOT NULL DEFAULT 1 CHECK (down_next_seq >= 1),
    stale_frames INTEGER NOT NULL DEFAULT 0 CHECK (stale_frames >= 0),
    torn_lines INTEGER NOT NULL DEFAULT 0 CHECK (torn_lines >= 0),
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    exit TEXT,
    CHECK ((ended_at_ms IS NULL) = (exit IS NULL))
) STRICT;

CREATE INDEX workers_of_session ON workers (session);

CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    number INTEGER NOT NULL CHECK (number >= 1),
    kind TEXT NOT NULL CHECK (kind IN ('grid', 'random')),
    fingerprint TEXT NOT NULL CHECK (fingerprint <> ''),
    replicate INTEGER NOT NULL CHECK (replicate >= 0),
    facts_index INTEGER NOT NULL CHECK (facts_index >= 0),
    total_steps INTEGER NOT NULL CHECK (total_steps >= 0),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'diverged', 'failed')),
    failure_class TEXT
        CHECK (failure_class IN ('oom', 'panic', 'killed', 'timeout', 'data', 'config', 'disk_full')),
    failure_message TEXT,
    charged_from INTEGER NOT NULL DEFAULT 1 CHECK (charged_from >= 1),
    objective_value REAL,
    objective_step INTEGER,
    best_weights_step INTEGER,
    best_weights_value REAL,
    best_weights_directory TEXT,
    resume_step INTEGER,
    resume_directory TEXT,
    created_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    configuration TEXT NOT NULL CHECK (json_type(configuration) = 'object'),
    settings TEXT NOT NULL CHECK (json_type(settings) = 'object'),
    UNIQUE (sweep, number),
    UNIQUE (sweep, fingerprint, replicate),
    CHECK ((state = 'failed') = (failure_class IS NOT NULL)),
    CHECK ((failure_class IS NULL) = (failure_message IS NULL)),
    CHECK ((state IN ('completed', 'diverged', 'failed')) = (ended_at_ms IS NOT NULL)),
    CHECK ((best_weights_step IS NULL) = (best_weights_directory IS NULL)),
    CHECK ((resume_step IS NULL) = (resume_directory IS NULL))
) STRICT;

CREATE INDEX trials_by_state ON trials (sweep, state);

CREATE INDEX trials_ranked ON trials (sweep, fingerprint, state, objective_value, number);

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials (id),
    number INTEGER NOT NULL CHECK (number >= 1),
    worker INTEGER NOT NULL REFERENCES workers (id),
    directory TEXT NOT NULL,
    from_step INTEGER NOT NULL CHECK (from_step >= 0),
    until_step INTEGER CHECK (until_step >= 0),
    last_step INTEGER NOT NULL CHECK (last_step >= from_step),
    down_seq INTEGER NOT NULL CHECK (down_seq >= 1),
    opened_seq INTEGER NOT NULL CHECK (opened_seq >= 1),
    closed_seq INTEGER,
    ending TEXT CHECK (ending IN ('completed', 'diverged', 'released', 'abandoned', 'failed')),
    diverged_step INTEGER,
    diverged_quantity TEXT,
    failure_class TEXT
        CHECK (failure_class IN ('oom', 'panic', 'killed', 'timeout', 'data', 'config', 'disk_full')),
    failure_message TEXT,
    peak_memory_bytes INTEGER,
    leased_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER,
    ended_at_ms INTEGER,
    UNIQUE (trial, number),
    CHECK ((ending IS NULL) = (ended_at_ms IS NULL)),
    CHECK ((ending IS NULL) = (closed_seq IS NULL)),
    CHECK ((ending IS 'diverged') = (diverged_step IS NOT NULL)),
    CHECK ((diverged_step IS NULL) = (diverged_quantity IS NULL)),
    CHECK ((ending IS 'failed') = (failure_class IS NOT NULL)),
    CHECK ((failure_class IS NULL) = (failure_message IS NULL))
) STRICT;

CREATE UNIQUE INDEX attempts_one_open ON attempts (trial) WHERE ending IS NULL;

CREATE UNIQUE INDEX attempts_one_completed ON attempts (trial) WHERE ending = 'completed';

CREATE INDEX attempts_open_of_worker ON attempts (worker) WHERE ending IS NULL;

CREATE TABLE checkpoints (
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    step INTEGER NOT NULL CHECK (step >= 0),
    directory TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (attempt, step)
) STRICT, WITHOUT ROWID;
