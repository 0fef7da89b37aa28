-- The tables of an orchestra. Columns of the published schema come first in each table; ours follow, each with a default, so
-- that an INSERT written against the published schema works. UUIDs are hyphenated lower-case text, times RFC 3339 text in
-- UTC with microseconds (so that text order is time order), structured values are JSON text.

-- Employed models.
CREATE TABLE models (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL UNIQUE
                           CHECK (length(name) BETWEEN 1 AND 128 AND name NOT GLOB '*[^-A-Za-z0-9._:/@+]*'),
    kind           TEXT    NOT NULL CHECK (kind IN ('local', 'cloud')),
    endpoint       TEXT,
    is_active      INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    provider       TEXT    NOT NULL DEFAULT 'unknown',
    -- What the provider calls it; the name when absent.
    identity_model TEXT,
    roles          TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(roles) AND json_type(roles) = 'array'),
    vram_mib       INTEGER NOT NULL DEFAULT 0 CHECK (vram_mib >= 0),
    memory_mib     INTEGER NOT NULL DEFAULT 0 CHECK (memory_mib >= 0),
    concurrency    INTEGER NOT NULL DEFAULT 1 CHECK (concurrency BETWEEN 1 AND 65535),
    stub           TEXT,
    hold           TEXT,
    standing       TEXT    NOT NULL DEFAULT 'trial'
                           CHECK (standing IN ('trial', 'member', 'senior', 'restricted', 'suspended'))
) STRICT;

-- What users submitted. The verdict stands apart, so that settling does not rewrite a long request.
CREATE TABLE prds (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE CHECK (length(id) = 36 AND id = lower(id)),
    request         TEXT    NOT NULL CHECK (json_valid(request)),
    idempotency_key TEXT    UNIQUE,
    created_at      TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;

CREATE TABLE verdicts (
    prd_id     TEXT PRIMARY KEY REFERENCES prds (id),
    verdict    TEXT NOT NULL CHECK (json_valid(verdict)),
    settled_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- PRDs without a verdict, with the number of their jobs that are queued, assigned or in progress. Kept by the triggers
-- below: finding what is to be assessed costs nothing that grows with what is settled or waits.
CREATE TABLE open_prds (
    prd_seq   INTEGER PRIMARY KEY REFERENCES prds (seq),
    open_jobs INTEGER NOT NULL CHECK (open_jobs >= 0)
) STRICT;
CREATE INDEX open_prds_assessable ON open_prds (prd_seq) WHERE open_jobs = 0;

-- Jobs. `seq` is the order in which they were made.
CREATE TABLE jobs (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE CHECK (length(id) = 36 AND id = lower(id)),
    prd_id         TEXT    NOT NULL REFERENCES prds (id),
    project_id     INTEGER NOT NULL DEFAULT 0,
    role           TEXT    NOT NULL DEFAULT 'coder'
                           CHECK (length(role) BETWEEN 1 AND 64 AND role NOT GLOB '*[^-A-Za-z0-9._:/@+]*'),
    status         TEXT    NOT NULL DEFAULT 'QUEUED' CHECK (status IN
                           ('QUEUED', 'ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED', 'FAILED', 'CANCELLED')),
    assigned_model INTEGER REFERENCES models (id),
    worker_id      TEXT    CHECK (length(worker_id) BETWEEN 1 AND 128 AND worker_id NOT GLOB '*[^-A-Za-z0-9._:/@+]*'),
    created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    updated_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    -- Grows at every claim and is never set back.
    lease_token    INTEGER NOT NULL DEFAULT 0 CHECK (lease_token >= 0),
    lease_until    TEXT,
    claimed_at     TEXT,
    door           TEXT    NOT NULL DEFAULT 'remote' CHECK (door IN ('remote', 'in_process')),
    attempt        INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts   INTEGER NOT NULL DEFAULT 3 CHECK (max_attempts >= 1),
    pinned_model   INTEGER REFERENCES models (id),
    -- Whether it was assigned as a suspended model's probe share.
    probe          INTEGER NOT NULL DEFAULT 0 CHECK (probe IN (0, 1)),
    tried          TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(tried) AND json_type(tried) = 'array'),
    last_error     TEXT,
    -- Why it failed or was called off.
    reason         TEXT,
    not_before     TEXT,
    -- The accepted report of the last attempt that was reported, kept until the next claim so that a repeated one is known.
    report         TEXT    CHECK (report IS NULL OR json_valid(report)),
    report_token   INTEGER,
    report_worker  TEXT,
    reported_at    TEXT,
    score          REAL    CHECK (score BETWEEN 0.0 AND 1.0),
    CHECK (attempt <= max_attempts),
    CHECK (status NOT IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED') OR assigned_model IS NOT NULL),
    CHECK (status NOT IN ('IN_PROGRESS', 'SUBMITTED') OR worker_id IS NOT NULL),
    CHECK (status <> 'VALIDATED' OR score IS NOT NULL)
) STRICT;
CREATE INDEX jobs_by_prd ON jobs (prd_id, seq);
-- Also finds what is queued, oldest first, at a cost that does not grow with what is finished.
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX jobs_by_model ON jobs (assigned_model, seq);
CREATE INDEX jobs_assigned ON jobs (assigned_model, seq) WHERE status = 'ASSIGNED';
CREATE INDEX jobs_running ON jobs (assigned_model) WHERE status = 'IN_PROGRESS';
-- A row that was put in progress by hand has no lease: it counts as ended.
CREATE INDEX jobs_leased ON jobs (coalesce(lease_until, '')) WHERE status = 'IN_PROGRESS';
CREATE INDEX jobs_delayed ON jobs (not_before) WHERE status = 'QUEUED' AND not_before IS NOT NULL;
CREATE INDEX jobs_alive ON jobs (updated_at, seq) WHERE status NOT IN ('VALIDATED', 'FAILED', 'CANCELLED');

-- How many jobs are in each state, so that counting them does not read them.
CREATE TABLE job_totals (
    status TEXT    PRIMARY KEY,
    jobs   INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT, WITHOUT ROWID;

-- Histories of jobs.
CREATE TABLE job_events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     TEXT    NOT NULL REFERENCES jobs (id),
    event_type TEXT    NOT NULL,
    details    TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(details)),
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;
CREATE INDEX job_events_by_job ON job_events (job_id, id);
CREATE INDEX job_events_test_failed ON job_events (created_at, job_id) WHERE event_type = 'test_failed';

-- The auditor's flags: at most one open flag for a job and a rule; a change of state closes it.
CREATE TABLE job_flags (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id    TEXT    NOT NULL REFERENCES jobs (id),
    rule      TEXT    NOT NULL,
    opened_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    closed_at TEXT
) STRICT;
CREATE UNIQUE INDEX job_flags_open ON job_flags (job_id, rule) WHERE closed_at IS NULL;

CREATE TABLE alerts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     TEXT    REFERENCES jobs (id),
    severity   TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    rule       TEXT,
    reason     TEXT    NOT NULL,
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;

-- Pieces of generations.
CREATE TABLE model_artifacts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        TEXT    NOT NULL REFERENCES jobs (id),
    model_id      INTEGER NOT NULL REFERENCES models (id),
    artifact_type TEXT    NOT NULL CHECK (artifact_type IN ('diff', 'patch', 'result', 'docs')),
    artifact      TEXT    NOT NULL CHECK (json_valid(artifact)),
    created_at    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    -- Absent on a row written by hand: the attempt under way counts then.
    attempt       INTEGER
) STRICT;
CREATE INDEX model_artifacts_by_job ON model_artifacts (job_id, id);

-- Scored attempts.
CREATE TABLE model_runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id   INTEGER NOT NULL REFERENCES models (id),
    job_id     TEXT    NOT NULL REFERENCES jobs (id),
    project_id INTEGER NOT NULL DEFAULT 0,
    success    INTEGER NOT NULL DEFAULT 0 CHECK (success IN (0, 1)),
    confidence REAL    CHECK (confidence BETWEEN 0.0 AND 1.0),
    score      REAL    NOT NULL CHECK (score BETWEEN 0.0 AND 1.0),
    details    TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(details)),
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    -- Absent on a row written by hand.
    attempt    INTEGER CHECK (attempt >= 0),
    attainable REAL    NOT NULL DEFAULT 1.0 CHECK (attainable BETWEEN 0.0 AND 1.0),
    strength   TEXT    CHECK (strength IN ('reported', 'same_process', 'twins', 'split_process')),
    counts     INTEGER NOT NULL DEFAULT 1 CHECK (counts IN (0, 1)),
    input_tokens  INTEGER CHECK (input_tokens >= 0),
    output_tokens INTEGER CHECK (output_tokens >= 0),
    UNIQUE (job_id, attempt)
) STRICT;
CREATE INDEX model_runs_by_model ON model_runs (model_id, id);

-- What the counting runs of a model on one UTC day add up to. Kept as runs land.
CREATE TABLE model_daily (
    model_id          INTEGER NOT NULL REFERENCES models (id),
    day               TEXT    NOT NULL,
    runs              INTEGER NOT NULL,
    successes         INTEGER NOT NULL,
    sum_score         REAL    NOT NULL,
    sum_share         REAL    NOT NULL,
    sum_share_squared REAL    NOT NULL,
    PRIMARY KEY (model_id, day)
) STRICT, WITHOUT ROWID;

-- What HR saw at each pass.
CREATE TABLE model_scores (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id        INTEGER NOT NULL REFERENCES models (id),
    window_start    TEXT    NOT NULL,
    window_end      TEXT    NOT NULL,
    avg_score       REAL    CHECK (avg_score BETWEEN 0.0 AND 1.0),
    tasks_completed INTEGER NOT NULL DEFAULT 0 CHECK (tasks_completed >= 0),
    promotions      INTEGER NOT NULL DEFAULT 0 CHECK (promotions >= 0),
    penalties       INTEGER NOT NULL DEFAULT 0 CHECK (penalties >= 0)
) STRICT;
CREATE INDEX model_scores_by_model ON model_scores (model_id, id);

-- What HR decided.
CREATE TABLE promotions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id     INTEGER NOT NULL REFERENCES models (id),
    action       TEXT    NOT NULL CHECK (action IN ('promote', 'demote', 'restrict', 'restore')),
    reason       TEXT    NOT NULL DEFAULT '',
    performed_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
) STRICT;

-- What everybody did. AUTOINCREMENT remembers the highest place ever given, so that a tail that somebody cut off leaves a gap.
-- `hash` is absent on a row written by hand.
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    actor      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    details    TEXT    NOT NULL DEFAULT '{}',
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
    hash       TEXT
) STRICT;

-- A state changes only along the arrows.
CREATE TRIGGER jobs_arrows BEFORE UPDATE OF status ON jobs
WHEN OLD.status <> NEW.status AND NOT CASE OLD.status
    WHEN 'QUEUED'      THEN NEW.status IN ('ASSIGNED', 'FAILED', 'CANCELLED')
    WHEN 'ASSIGNED'    THEN NEW.status IN ('IN_PROGRESS', 'QUEUED', 'FAILED', 'CANCELLED')
    WHEN 'IN_PROGRESS' THEN NEW.status IN ('SUBMITTED', 'QUEUED', 'FAILED', 'CANCELLED')
    WHEN 'SUBMITTED'   THEN NEW.status IN ('VALIDATED', 'QUEUED', 'FAILED', 'CANCELLED')
    ELSE 0 END
BEGIN
    SELECT RAISE(ABORT, 'a job may not change its state that way');
END;

CREATE TRIGGER jobs_made AFTER INSERT ON jobs
BEGIN
    INSERT INTO job_totals (status, jobs) VALUES (NEW.status, 1)
        ON CONFLICT (status) DO UPDATE SET jobs = jobs + 1;
    INSERT INTO open_prds (prd_seq, open_jobs)
        SELECT seq, NEW.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS') FROM prds
        WHERE id = NEW.prd_id AND NOT EXISTS (SELECT 1 FROM verdicts WHERE prd_id = NEW.prd_id)
        ON CONFLICT (prd_seq) DO UPDATE SET open_jobs = open_jobs + excluded.open_jobs;
END;

CREATE TRIGGER jobs_moved AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status
BEGIN
    UPDATE job_totals SET jobs = jobs - 1 WHERE status = OLD.status;
    INSERT INTO job_totals (status, jobs) VALUES (NEW.status, 1)
        ON CONFLICT (status) DO UPDATE SET jobs = jobs + 1;
    UPDATE open_prds SET open_jobs = open_jobs + (NEW.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS'))
                                               - (OLD.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS'))
        WHERE (NEW.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS')) <> (OLD.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS'))
          AND prd_seq = (SELECT seq FROM prds WHERE id = NEW.prd_id);
    UPDATE job_flags SET closed_at = NEW.updated_at WHERE job_id = NEW.id AND closed_at IS NULL;
END;

CREATE TRIGGER jobs_gone AFTER DELETE ON jobs
BEGIN
    UPDATE job_totals SET jobs = jobs - 1 WHERE status = OLD.status;
    UPDATE open_prds SET open_jobs = open_jobs - 1
        WHERE OLD.status IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS')
          AND prd_seq = (SELECT seq FROM prds WHERE id = OLD.prd_id);
END;

CREATE TRIGGER verdicts_made AFTER INSERT ON verdicts
BEGIN
    DELETE FROM open_prds WHERE prd_seq = (SELECT seq FROM prds WHERE id = NEW.prd_id);
END;

-- A run with nothing attainable counts as a share of 0.
CREATE TRIGGER model_runs_made AFTER INSERT ON model_runs WHEN NEW.counts = 1
BEGIN
    INSERT INTO model_daily (model_id, day, runs, successes, sum_score, sum_share, sum_share_squared)
    SELECT NEW.model_id, substr(NEW.created_at, 1, 10), 1, NEW.success, NEW.score, share, share * share
    FROM (SELECT CASE WHEN NEW.attainable > 0.0 THEN min(NEW.score / NEW.attainable, 1.0) ELSE 0.0 END AS share)
    WHERE true
    ON CONFLICT (model_id, day) DO UPDATE SET
        runs = runs + 1,
        successes = successes + excluded.successes,
        sum_score = sum_score + excluded.sum_score,
        sum_share = sum_share + excluded.sum_share,
        sum_share_squared = sum_share_squared + excluded.sum_share_squared;
END;
