-- The tables of an orchestra, made in the schema that the connection's search_path names first. Columns of the published
-- schema come first in each table; ours follow, each with a default, so that an INSERT written against the published schema
-- works from any session. Functions keep this search_path, so that triggers work for sessions with another one.
--
-- Hot tables carry no foreign keys: a check on each row costs as much as the row, and its locks on `models` and `prds` would
-- make writers wait for one another. The verbs keep the references; readers pass over rows that refer to nothing.

-- Names as a log line, a header or a path can hold them. A domain is checked where a value is given, not each time that its row
-- is written again.
CREATE DOMAIN plain_name AS text CHECK (VALUE ~ '^[-A-Za-z0-9._:/@+]{1,128}$');
CREATE DOMAIN role_name AS text CHECK (VALUE ~ '^[-A-Za-z0-9._:/@+]{1,64}$');

-- Employed models.
CREATE TABLE models (
    id             serial      PRIMARY KEY,
    name           plain_name  NOT NULL UNIQUE,
    kind           text        NOT NULL CHECK (kind IN ('local', 'cloud')),
    endpoint       text,
    is_active      boolean     NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    provider       text        NOT NULL DEFAULT 'unknown',
    -- What the provider calls it; the name when absent.
    identity_model text,
    roles          json        NOT NULL DEFAULT '[]' CHECK (json_typeof(roles) = 'array'),
    vram_mib       bigint      NOT NULL DEFAULT 0 CHECK (vram_mib >= 0),
    memory_mib     bigint      NOT NULL DEFAULT 0 CHECK (memory_mib >= 0),
    concurrency    int         NOT NULL DEFAULT 1 CHECK (concurrency BETWEEN 1 AND 65535),
    stub           text,
    hold           text,
    -- When a worker last asked for its jobs.
    asked_at       timestamptz,
    standing       text        NOT NULL DEFAULT 'trial'
                               CHECK (standing IN ('trial', 'member', 'senior', 'restricted', 'suspended'))
);

-- What users submitted; ids are time-ordered (UUID version 7). `request` is json, not jsonb: it is kept letter for letter.
-- The verdict stands apart, so that settling does not rewrite a long request.
CREATE TABLE prds (
    id              uuid        PRIMARY KEY,
    request         json        NOT NULL,
    idempotency_key text,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX prds_by_key ON prds (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE verdicts (
    prd_id     uuid        PRIMARY KEY,
    verdict    json        NOT NULL,
    settled_at timestamptz NOT NULL
);

-- PRDs that the accountant has to look at: one of their jobs was handed in or has ended, and there is no verdict yet. Kept
-- by the triggers below, so that finding them costs nothing that grows with what is settled or waits.
CREATE TABLE prds_to_assess (
    prd_id uuid        PRIMARY KEY,
    -- The node that assesses it, and until when it must have said again that it lives.
    node   text,
    until  timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Jobs. `seq` is the order in which they were made. Every change of state makes a new version of the row, so a third of each
-- page is left free for it, and dead versions are cleared early and without pauses.
CREATE TABLE jobs (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    prd_id         uuid        NOT NULL,
    project_id     int         NOT NULL DEFAULT 0,
    role           role_name   NOT NULL DEFAULT 'coder',
    status         text        NOT NULL DEFAULT 'QUEUED' CHECK (status IN
                               ('QUEUED', 'ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED', 'FAILED', 'CANCELLED')),
    assigned_model int,
    worker_id      plain_name,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    seq            bigserial   NOT NULL,
    -- Grows at every claim and is never set back.
    lease_token    bigint      NOT NULL DEFAULT 0 CHECK (lease_token >= 0),
    lease_until    timestamptz,
    claimed_at     timestamptz,
    door           text        NOT NULL DEFAULT 'remote' CHECK (door IN ('remote', 'in_process')),
    attempt        int         NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts   int         NOT NULL DEFAULT 3 CHECK (max_attempts >= 1),
    pinned_model   int,
    -- Whether it was assigned as a suspended model's probe share.
    probe          boolean     NOT NULL DEFAULT false,
    tried          int[]       NOT NULL DEFAULT '{}',
    last_error     text,
    -- Why it failed or was called off.
    reason         text,
    not_before     timestamptz,
    -- The accepted report of the last attempt that was reported, kept until the next claim so that a repeated one is known.
    report         json,
    report_token   bigint,
    report_worker  text,
    reported_at    timestamptz,
    score          double precision CHECK (score BETWEEN 0.0 AND 1.0),
    CHECK (attempt <= max_attempts),
    CHECK (status NOT IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED') OR assigned_model IS NOT NULL),
    CHECK (status NOT IN ('IN_PROGRESS', 'SUBMITTED') OR worker_id IS NOT NULL),
    CHECK (status <> 'VALIDATED' OR score IS NOT NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_by_prd ON jobs (prd_id, seq);
-- Lists of finished jobs, page by page. Every index that a row is in is written at each change of its state, so there is none
-- on `seq` alone: a list of all jobs is merged from those of the states.
CREATE INDEX jobs_by_model ON jobs (assigned_model, seq) WHERE status IN ('VALIDATED', 'FAILED');
CREATE INDEX jobs_ended ON jobs (status, seq) WHERE status IN ('VALIDATED', 'FAILED', 'CANCELLED');
-- What the engines ask for; finished jobs leave these.
CREATE INDEX jobs_queued ON jobs (seq) WHERE status = 'QUEUED';
CREATE INDEX jobs_delayed ON jobs (not_before) WHERE status = 'QUEUED' AND not_before IS NOT NULL;
CREATE INDEX jobs_assigned ON jobs (assigned_model, seq) WHERE status = 'ASSIGNED';
CREATE INDEX jobs_running ON jobs (assigned_model, seq) WHERE status = 'IN_PROGRESS';
CREATE INDEX jobs_submitted ON jobs (seq) WHERE status = 'SUBMITTED';

-- How many jobs are in each state, as sums of rows that every change of state appends and that are folded now and then: one
-- counting row would make all writers wait for one another.
CREATE TABLE job_totals (
    status text   NOT NULL,
    jobs   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Histories of jobs, a part for each month, so that old months are dropped rather than deleted.
CREATE TABLE job_events (
    id         bigserial   NOT NULL,
    job_id     uuid        NOT NULL,
    event_type text        NOT NULL,
    details    jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);
CREATE INDEX job_events_by_job ON job_events (job_id, id);
CREATE INDEX job_events_audit_flag ON job_events (id) WHERE event_type = 'audit_flag';
CREATE INDEX job_events_test_failed ON job_events (created_at, job_id) WHERE event_type = 'test_failed';
CREATE TABLE job_events_rest PARTITION OF job_events DEFAULT;

-- The auditor's flags: at most one open flag for a job and a rule; a change of state closes it.
CREATE TABLE job_flags (
    id        bigserial   PRIMARY KEY,
    job_id    uuid        NOT NULL,
    rule      text        NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX job_flags_open ON job_flags (job_id, rule) WHERE closed_at IS NULL;

CREATE TABLE alerts (
    id         bigserial   PRIMARY KEY,
    job_id     uuid,
    severity   text        NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    rule       text,
    reason     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Pieces of generations.
CREATE TABLE model_artifacts (
    id            bigserial   PRIMARY KEY,
    job_id        uuid        NOT NULL,
    model_id      int         NOT NULL REFERENCES models (id),
    artifact_type text        NOT NULL CHECK (artifact_type IN ('diff', 'patch', 'result', 'docs')),
    artifact      jsonb       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Absent on a row written by hand: the attempt under way counts then.
    attempt       int
);
CREATE INDEX model_artifacts_by_job ON model_artifacts (job_id, id);

-- Scored attempts. Not cut into months: a partitioned table could not hold (job, attempt) unique.
CREATE TABLE model_runs (
    id            bigserial   PRIMARY KEY,
    model_id      int         NOT NULL,
    job_id        uuid        NOT NULL,
    project_id    int         NOT NULL DEFAULT 0,
    success       boolean     NOT NULL DEFAULT false,
    -- NaN stands above every number in PostgreSQL, so these bounds refuse it.
    confidence    numeric     CHECK (confidence BETWEEN 0 AND 1),
    score         numeric     NOT NULL CHECK (score BETWEEN 0 AND 1),
    details       jsonb       NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Absent on a row written by hand.
    attempt       int         CHECK (attempt >= 0),
    attainable    double precision NOT NULL DEFAULT 1.0 CHECK (attainable BETWEEN 0.0 AND 1.0),
    strength      text        CHECK (strength IN ('reported', 'same_process', 'twins', 'split_process')),
    counts        boolean     NOT NULL DEFAULT true,
    input_tokens  bigint      CHECK (input_tokens >= 0),
    output_tokens bigint      CHECK (output_tokens >= 0),
    UNIQUE (job_id, attempt)
);
CREATE INDEX model_runs_by_model ON model_runs (model_id, id);

-- What the counting runs of a model on one UTC day add up to. Kept as runs land.
CREATE TABLE model_daily (
    model_id          int    NOT NULL,
    day               date   NOT NULL,
    runs              bigint NOT NULL,
    successes         bigint NOT NULL,
    sum_score         double precision NOT NULL,
    sum_share         double precision NOT NULL,
    sum_share_squared double precision NOT NULL,
    PRIMARY KEY (model_id, day)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- What HR saw at each pass.
CREATE TABLE model_scores (
    id              bigserial   PRIMARY KEY,
    model_id        int         NOT NULL REFERENCES models (id),
    window_start    timestamptz NOT NULL,
    window_end      timestamptz NOT NULL,
    avg_score       numeric     CHECK (avg_score BETWEEN 0 AND 1),
    tasks_completed int         NOT NULL DEFAULT 0 CHECK (tasks_completed >= 0),
    promotions      int         NOT NULL DEFAULT 0 CHECK (promotions >= 0),
    penalties       int         NOT NULL DEFAULT 0 CHECK (penalties >= 0)
);
CREATE INDEX model_scores_by_model ON model_scores (model_id, id);

-- What HR decided.
CREATE TABLE promotions (
    id           bigserial   PRIMARY KEY,
    model_id     int         NOT NULL REFERENCES models (id),
    action       text        NOT NULL CHECK (action IN ('promote', 'demote', 'restrict', 'restore')),
    reason       text        NOT NULL DEFAULT '',
    performed_at timestamptz NOT NULL DEFAULT now()
);

-- The end of the audit log. Whoever appends holds this row until its transaction ends, so places are given in the order of
-- commits, without gaps: a reader that follows the log skips nothing.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL,
    -- Of the last entry that has one.
    hash     bytea   NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION next_audit_place() RETURNS bigint LANGUAGE sql SET search_path FROM CURRENT
    AS 'UPDATE audit_head SET seq = seq + 1 RETURNING seq';

-- What everybody did. `hash` is absent on a row written by hand.
CREATE TABLE audit_log (
    id         bigint      NOT NULL DEFAULT next_audit_place(),
    actor      text        NOT NULL,
    action     text        NOT NULL,
    details    jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    hash       bytea,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;

-- Which node has which duty. The epoch grows each time that a duty goes to another node.
CREATE TABLE duties (
    duty  text        PRIMARY KEY,
    node  text        NOT NULL,
    epoch bigint      NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- The last entry that was dropped with its month: the chain that is kept begins behind it.
CREATE TABLE audit_anchor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint  NOT NULL,
    hash     bytea   NOT NULL
);

-- A state changes only along the arrows.
CREATE FUNCTION refuse_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a job may not go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER jobs_arrows BEFORE UPDATE OF status ON jobs FOR EACH ROW
WHEN (OLD.status <> NEW.status AND NOT CASE OLD.status
    WHEN 'QUEUED'      THEN NEW.status IN ('ASSIGNED', 'FAILED', 'CANCELLED')
    WHEN 'ASSIGNED'    THEN NEW.status IN ('IN_PROGRESS', 'QUEUED', 'FAILED', 'CANCELLED')
    WHEN 'IN_PROGRESS' THEN NEW.status IN ('SUBMITTED', 'QUEUED', 'FAILED', 'CANCELLED')
    WHEN 'SUBMITTED'   THEN NEW.status IN ('VALIDATED', 'QUEUED', 'FAILED', 'CANCELLED')
    ELSE false END)
EXECUTE FUNCTION refuse_arrow();

CREATE FUNCTION count_made() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO job_totals (status, jobs) SELECT status, count(*) FROM made GROUP BY status;
    INSERT INTO prds_to_assess (prd_id)
        SELECT DISTINCT prd_id FROM made
        WHERE status NOT IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS')
          AND EXISTS (SELECT 1 FROM prds WHERE prds.id = made.prd_id)
          AND NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.prd_id = made.prd_id)
        ORDER BY prd_id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_made AFTER INSERT ON jobs REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION count_made();

CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO job_totals (status, jobs)
        SELECT status, sum(n) FROM (
            SELECT status, -count(*) AS n FROM before GROUP BY status
            UNION ALL
            SELECT status, count(*) FROM moved GROUP BY status
        ) AS changes GROUP BY status HAVING sum(n) <> 0;
    -- Nothing but heartbeats: the sums are equal only when no state changed, or when as many went each way. What changed is found
    -- by EXCEPT, which sorts or hashes whatever it is given: a join of these two would be planned once, for few rows, and be
    -- quadratic for many.
    IF NOT FOUND AND NOT EXISTS (SELECT id, status FROM moved EXCEPT SELECT id, status FROM before) THEN
        RETURN NULL;
    END IF;
    INSERT INTO prds_to_assess (prd_id)
        SELECT DISTINCT prd_id FROM (
            SELECT id, prd_id, status FROM moved WHERE status IN ('SUBMITTED', 'FAILED', 'CANCELLED')
            EXCEPT SELECT id, prd_id, status FROM before
        ) AS ended
        WHERE NOT EXISTS (SELECT 1 FROM verdicts WHERE verdicts.prd_id = ended.prd_id)
        ORDER BY prd_id ON CONFLICT DO NOTHING;
    -- Few flags are open, if any.
    IF EXISTS (SELECT 1 FROM job_flags WHERE closed_at IS NULL) THEN
        UPDATE job_flags SET closed_at = clock_timestamp()
            WHERE closed_at IS NULL AND job_id IN (
                SELECT id FROM (SELECT id, status FROM moved EXCEPT SELECT id, status FROM before) AS changed);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_moved AFTER UPDATE ON jobs REFERENCING OLD TABLE AS before NEW TABLE AS moved
FOR EACH STATEMENT EXECUTE FUNCTION count_moved();

CREATE FUNCTION count_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO job_totals (status, jobs) SELECT status, -count(*) FROM gone GROUP BY status;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_gone AFTER DELETE ON jobs REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION count_gone();

CREATE FUNCTION forget_settled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM prds_to_assess USING made WHERE prds_to_assess.prd_id = made.prd_id;
    RETURN NULL;
END $$;
CREATE TRIGGER verdicts_made AFTER INSERT ON verdicts REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION forget_settled();

-- A run with nothing attainable counts as a share of 0. Rows are touched in the order of their keys, so that two
-- transactions cannot wait for one another in a circle.
CREATE FUNCTION add_up_runs() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO model_daily AS daily (model_id, day, runs, successes, sum_score, sum_share, sum_share_squared)
    SELECT model_id, day, count(*), count(*) FILTER (WHERE success), sum(score), sum(share), sum(share * share)
    FROM (SELECT model_id, (created_at AT TIME ZONE 'UTC')::date AS day, success, score::double precision AS score,
                 CASE WHEN attainable > 0.0 THEN least(score::double precision / attainable, 1.0) ELSE 0.0 END AS share
          FROM made WHERE counts) AS runs
    GROUP BY model_id, day ORDER BY model_id, day
    ON CONFLICT (model_id, day) DO UPDATE SET
        runs = daily.runs + excluded.runs,
        successes = daily.successes + excluded.successes,
        sum_score = daily.sum_score + excluded.sum_score,
        sum_share = daily.sum_share + excluded.sum_share,
        sum_share_squared = daily.sum_share_squared + excluded.sum_share_squared;
    RETURN NULL;
END $$;
CREATE TRIGGER model_runs_made AFTER INSERT ON model_runs REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION add_up_runs();

-- A notification only wakes a reader; the row is the data.
CREATE FUNCTION tell_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('channel_alerts', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER alerts_made AFTER INSERT ON alerts FOR EACH ROW EXECUTE FUNCTION tell_alert();
CREATE TRIGGER job_events_flagged AFTER INSERT ON job_events FOR EACH ROW
WHEN (NEW.event_type = 'audit_flag') EXECUTE FUNCTION tell_alert();
