-- The tables of an orchestra, made in the schema that the connection's search_path names first. Columns of the published
-- schema come first in each table; ours follow, each with a default, so that an INSERT written against the published schema
-- works from any session. Functions keep this search_path, so that triggers work for sessions with another one.
--
-- Hot tables carry no foreign keys: a check on each row costs as much as the row, and its locks on `models` and `prds` would
-- make writers wait for one another. The verbs keep the references; readers pass over rows that refer to nothing.

-- Names as a log line, a header or a path can hold them. A domain is checked where a value is given, not each time that its row
-- is written again. Workers' names are not of it: they are given at every claim, and checked before.
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
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- Its jobs, in the order in which they were made.
    jobs            uuid[]      NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX prds_by_key ON prds (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE verdicts (
    prd_id     uuid        PRIMARY KEY,
    verdict    json        NOT NULL,
    settled_at timestamptz NOT NULL
);

-- PRDs whose jobs were handed in or have ended, noted in one row by whoever moved them, until a node that assesses comes by
-- and enters them below.
CREATE TABLE handed_in (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prds uuid[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- PRDs that the accountant has to look at: one of their jobs was handed in or has ended, and there is no verdict yet. Finding
-- them costs nothing that grows with what is settled or waits.
CREATE TABLE prds_to_assess (
    prd_id uuid        PRIMARY KEY,
    id     bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- The node that assesses it, and until when it must have said again that it lives.
    node   text,
    until  timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Jobs. `seq` is the order in which they were made. Every change of state makes a new version of the row; no index holds what
-- changes while a job is open, and two thirds of each page are left free, so that the new version lies beside the old ones, of
-- which several are there before they may be cleared away, and no index is written (a HOT update). That costs a third of what it costs with an index on the state. What an index on the
-- state would find is in `queue`, `claims` and `handed_in`. What changes together stands together, at the end: the log holds
-- only the bytes between the first change and the last one.
CREATE TABLE jobs (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    prd_id         uuid        NOT NULL,
    seq            bigserial   NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    project_id     int         NOT NULL DEFAULT 0,
    role           role_name   NOT NULL DEFAULT 'coder',
    max_attempts   int         NOT NULL DEFAULT 3 CHECK (max_attempts >= 1),
    pinned_model   int,
    -- Models whose attempts came to an end without success; the one that has it is not in it yet.
    tried          int[],
    -- Tokens of the claims before the newest one.
    leases         bigint[],
    last_error     text,
    -- Why it failed or was called off.
    reason         text,
    score          double precision CHECK (score BETWEEN 0.0 AND 1.0),
    not_before     timestamptz,
    -- Whose report is kept, when the job has no worker any more.
    report_worker  text,
    assigned_model int,
    -- Whether it was assigned as a suspended model's probe share.
    probe          boolean     NOT NULL DEFAULT false,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    lease_until    timestamptz,
    claimed_at     timestamptz,
    reported_at    timestamptz,
    -- Of the newest claim; grows at every claim and is never set back.
    lease_token    bigint      NOT NULL DEFAULT 0 CHECK (lease_token >= 0),
    attempt        int         NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    status         text        NOT NULL DEFAULT 'QUEUED' CHECK (status IN
                               ('QUEUED', 'ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED', 'FAILED', 'CANCELLED')),
    worker_id      text,
    door           text        NOT NULL DEFAULT 'remote' CHECK (door IN ('remote', 'in_process')),
    -- The accepted report of the last attempt that was reported, kept until the next claim so that a repeated one is known.
    report         json,
    -- The state it ended in, and the model that had it then; absent while it is open.
    ended          text        GENERATED ALWAYS AS
                               (CASE WHEN status IN ('VALIDATED', 'FAILED', 'CANCELLED') THEN status END) STORED,
    ended_model    int         GENERATED ALWAYS AS
                               (CASE WHEN status IN ('VALIDATED', 'FAILED') THEN assigned_model END) STORED,
    CHECK (attempt <= max_attempts),
    CHECK (status NOT IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED') OR assigned_model IS NOT NULL),
    CHECK (status NOT IN ('IN_PROGRESS', 'SUBMITTED') OR worker_id IS NOT NULL),
    CHECK (status <> 'VALIDATED' OR score IS NOT NULL)
) WITH (fillfactor = 35, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_by_prd ON jobs (prd_id, seq);
CREATE UNIQUE INDEX jobs_by_seq ON jobs (seq);
CREATE INDEX jobs_ended ON jobs (ended, seq) WHERE ended IS NOT NULL;
CREATE INDEX jobs_ended_by_model ON jobs (ended_model, seq) WHERE ended_model IS NOT NULL;

-- The number of a claim is the fencing token of its jobs.
CREATE SEQUENCE lease_tokens;

-- Jobs that wait: for a model (`model` is 0, the job is QUEUED), or for a worker of that model (ASSIGNED).
CREATE TABLE queue (
    model      int         NOT NULL,
    seq        bigint      NOT NULL,
    job        uuid        NOT NULL,
    -- Since when it waits here.
    since      timestamptz NOT NULL,
    not_before timestamptz,
    PRIMARY KEY (model, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_delayed ON queue (not_before) WHERE not_before IS NOT NULL;

-- Which jobs were claimed together, and when the first of their leases may end. To find jobs that are in progress, look here and
-- then at the jobs. The reaper comes by when a row's time is over, and takes it away when none of its jobs is in progress any more.
CREATE TABLE claims (
    id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    until timestamptz NOT NULL,
    jobs  uuid[]      NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- Ids hardly compress; trying costs more than it saves.
ALTER TABLE claims ALTER jobs SET STORAGE EXTERNAL;
ALTER TABLE handed_in ALTER prds SET STORAGE EXTERNAL;
CREATE INDEX claims_due ON claims (until);

-- How many jobs are in each state, and of those that are assigned or in progress, how many each model has (0 for all others), as
-- sums of rows that every change of state appends and that are folded now and then: one counting row would make all writers
-- wait for one another.
CREATE TABLE job_totals (
    status text   NOT NULL,
    model  int    NOT NULL DEFAULT 0,
    jobs   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

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

-- The ends that the audit log has had; the last row is its end. Whoever appends holds a lock until its transaction ends, so places
-- are given in the order of commits, without gaps: a reader that follows the log skips nothing. Rows are added, never changed: of
-- one row that all writers change, each would have to pass every version there was since the oldest transaction began that is open
-- anywhere.
CREATE TABLE audit_head (
    seq  bigint PRIMARY KEY,
    -- Of the last entry that has one.
    hash bytea  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- The end of the log, for nobody else until this transaction ends. A function, so that the end is looked up when the lock is held,
-- and not as it was when the calling statement began.
CREATE FUNCTION lock_audit_head() RETURNS audit_head LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    head audit_head;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('aura audit ' || current_schema(), 0));
    SELECT * INTO STRICT head FROM audit_head ORDER BY seq DESC LIMIT 1;
    RETURN head;
END $$;

-- The name of what the server has gone through without losing anything. A crash empties what is unlogged, and a standby that
-- takes over has nothing in it: a commit that did not wait for the disk has reached it if the same name is still here when a
-- later one has waited.
CREATE UNLOGGED TABLE server_run (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name     uuid    NOT NULL DEFAULT gen_random_uuid()
);

-- The next place, for a row that is written by hand. A transaction that sees the log as it was a while ago would take a place that
-- is taken.
CREATE FUNCTION next_audit_place() RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    head audit_head;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'the audit log is appended to by READ COMMITTED transactions only: BEGIN ISOLATION LEVEL READ COMMITTED'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    head := lock_audit_head();
    INSERT INTO audit_head (seq, hash) VALUES (head.seq + 1, head.hash);
    RETURN head.seq + 1;
END $$;

-- What everybody did, a part for each month, so that old months are dropped rather than deleted. `hash` is absent on a row
-- written by hand. An entry about one job is filed under it, an entry about the jobs of one claim under their token: a job's
-- history is read from here, and not written a second time.
CREATE TABLE audit_log (
    id         bigint      NOT NULL DEFAULT next_audit_place(),
    actor      text        NOT NULL,
    action     text        NOT NULL,
    details    jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    hash       bytea,
    job_id     uuid,
    lease      bigint,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX audit_log_by_job ON audit_log (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX audit_log_by_lease ON audit_log (lease) WHERE lease IS NOT NULL;
CREATE INDEX audit_log_test_failed ON audit_log (created_at) WHERE action = 'test_failed';
CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;

-- Lines of job histories that were written by hand. Their numbers stand behind those of the audit log.
CREATE TABLE job_events_by_hand (
    id         bigint      GENERATED ALWAYS AS IDENTITY (START WITH 4611686018427387904) PRIMARY KEY,
    job_id     uuid        NOT NULL,
    event_type text        NOT NULL,
    details    jsonb       NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX job_events_by_hand_by_job ON job_events_by_hand (job_id);

-- Histories of jobs.
CREATE VIEW job_events (id, job_id, event_type, details, created_at) AS
    SELECT id, job_id, action, details - 'job_id' - 'prd_id', created_at FROM audit_log WHERE job_id IS NOT NULL
    UNION ALL
    SELECT audit_log.id, jobs.id, action, details - 'jobs', audit_log.created_at
    FROM jobs CROSS JOIN LATERAL unnest(jobs.leases || jobs.lease_token) AS held (lease)
        JOIN audit_log ON audit_log.lease = held.lease AND audit_log.created_at >= jobs.created_at
    WHERE details -> 'jobs' ? jobs.id::text
    UNION ALL
    SELECT id, job_id, event_type, details, created_at FROM job_events_by_hand;

CREATE FUNCTION write_job_event() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO job_events_by_hand (job_id, event_type, details, created_at)
        VALUES (NEW.job_id, NEW.event_type, coalesce(NEW.details, '{}'), coalesce(NEW.created_at, now()))
        RETURNING id, details, created_at INTO NEW.id, NEW.details, NEW.created_at;
    RETURN NEW;
END $$;
CREATE TRIGGER job_events_written INSTEAD OF INSERT ON job_events FOR EACH ROW EXECUTE FUNCTION write_job_event();

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

-- What the verbs keep beside the rows of jobs, they keep themselves, for many jobs in one statement, and each of their statements
-- names the state that it changes. For sessions that are not theirs, which do not say `aura.verb`, this trigger does it, row by
-- row. It comes after the change: a trigger before it would lock each row first.
CREATE FUNCTION keep_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    known boolean;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO job_totals (status, model, jobs)
            VALUES (OLD.status, CASE WHEN OLD.status IN ('ASSIGNED', 'IN_PROGRESS') THEN OLD.assigned_model ELSE 0 END, -1);
        DELETE FROM queue WHERE model = CASE OLD.status WHEN 'QUEUED' THEN 0 ELSE OLD.assigned_model END
            AND seq = OLD.seq AND job = OLD.id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        UPDATE prds SET jobs = array_remove(prds.jobs, OLD.id) WHERE prds.id = OLD.prd_id;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        UPDATE prds SET jobs = prds.jobs || NEW.id WHERE prds.id = NEW.prd_id;
    ELSIF OLD.prd_id <> NEW.prd_id OR OLD.id <> NEW.id THEN
        RAISE EXCEPTION 'a job keeps its id and its PRD' USING ERRCODE = 'check_violation';
    END IF;
    -- A state changes only along the arrows.
    IF TG_OP = 'UPDATE' THEN
        IF OLD.status <> NEW.status AND NOT (CASE OLD.status
            WHEN 'QUEUED'      THEN NEW.status IN ('ASSIGNED', 'FAILED', 'CANCELLED')
            WHEN 'ASSIGNED'    THEN NEW.status IN ('IN_PROGRESS', 'QUEUED', 'FAILED', 'CANCELLED')
            WHEN 'IN_PROGRESS' THEN NEW.status IN ('SUBMITTED', 'QUEUED', 'FAILED', 'CANCELLED')
            WHEN 'SUBMITTED'   THEN NEW.status IN ('VALIDATED', 'QUEUED', 'FAILED', 'CANCELLED')
            ELSE false END) THEN
            RAISE EXCEPTION 'a job may not go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
        END IF;
        IF OLD.status <> NEW.status THEN
            UPDATE job_flags SET closed_at = clock_timestamp() WHERE closed_at IS NULL AND job_id = NEW.id;
        END IF;
    END IF;
    IF NEW.worker_id !~ '^[-A-Za-z0-9._:/@+]{1,128}$' THEN
        RAISE EXCEPTION '% is no worker''s id', NEW.worker_id USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO job_totals (status, model, jobs)
        VALUES (NEW.status, CASE WHEN NEW.status IN ('ASSIGNED', 'IN_PROGRESS') THEN NEW.assigned_model ELSE 0 END, 1);
    SELECT EXISTS (SELECT 1 FROM prds WHERE prds.id = NEW.prd_id) INTO known;
    -- No worker could do a job without a PRD, or without an attempt left.
    IF NEW.status IN ('QUEUED', 'ASSIGNED') THEN
        INSERT INTO queue (model, seq, job, since, not_before)
            SELECT CASE NEW.status WHEN 'QUEUED' THEN 0 ELSE NEW.assigned_model END, NEW.seq, NEW.id, NEW.updated_at,
                NEW.not_before
            WHERE known AND NEW.attempt < NEW.max_attempts;
    ELSIF NEW.status = 'IN_PROGRESS' THEN
        INSERT INTO claims (until, jobs) VALUES (coalesce(NEW.lease_until, '-infinity'), ARRAY[NEW.id]);
    ELSIF known THEN
        INSERT INTO handed_in (prds) VALUES (ARRAY[NEW.prd_id]);
    END IF;
    RETURN NULL;
END $$;
-- Nothing is told row by row when a table is emptied at once.
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would leave counts and queues behind: use DELETE', TG_TABLE_NAME
        USING ERRCODE = 'feature_not_supported';
END $$;
CREATE TRIGGER jobs_emptied BEFORE TRUNCATE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER jobs_by_hand AFTER INSERT OR UPDATE OR DELETE ON jobs FOR EACH ROW
WHEN (current_setting('aura.verb', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION keep_by_hand();

CREATE FUNCTION find_jobs() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.jobs := ARRAY(SELECT jobs.id FROM jobs WHERE jobs.prd_id = NEW.id ORDER BY jobs.seq);
    RETURN NEW;
END $$;
CREATE TRIGGER prds_by_hand BEFORE INSERT ON prds FOR EACH ROW
WHEN (current_setting('aura.verb', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION find_jobs();

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
CREATE TRIGGER audit_log_flagged AFTER INSERT ON audit_log FOR EACH ROW
WHEN (NEW.action = 'audit_flag' AND NEW.job_id IS NOT NULL) EXECUTE FUNCTION tell_alert();
CREATE TRIGGER job_events_flagged AFTER INSERT ON job_events_by_hand FOR EACH ROW
WHEN (NEW.event_type = 'audit_flag') EXECUTE FUNCTION tell_alert();
