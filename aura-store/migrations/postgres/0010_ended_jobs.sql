-- Which jobs have ended, and how, was told by two computed columns of `jobs` and their indexes. So the last change of each job wrote a
-- new entry into every index of the table, and every other change computed the two columns: 0.6 us of PostgreSQL's processor time each.
-- The verbs that end jobs enter them here now, and for rows by hand the trigger does. A whole life takes 5 % less of that time.
LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
CREATE TABLE ended_jobs (
    status text   NOT NULL,
    seq    bigint NOT NULL,
    -- The model that had it at its end; 0 when none had.
    model  int    NOT NULL,
    job    uuid   NOT NULL,
    PRIMARY KEY (status, seq)
);
INSERT INTO ended_jobs (status, seq, model, job)
    SELECT status, seq, coalesce(assigned_model, 0), id FROM jobs WHERE ended IS NOT NULL ORDER BY status, seq;
CREATE INDEX ended_jobs_by_model ON ended_jobs (model, status, seq);
ALTER TABLE jobs DROP COLUMN ended, DROP COLUMN ended_model;

-- A node of an older build would end jobs and not enter them. What its verbs call for their trail says so now, and they change nothing;
-- this build's verbs call the same function by another name.
CREATE OR REPLACE FUNCTION hold_audit_head(may_wait boolean, OUT seq bigint, OUT hash text, OUT waits boolean) LANGUAGE plpgsql AS $$
DECLARE
    lock_key bigint := hashtextextended('aura audit ' || current_schema(), 0);
BEGIN
    waits := may_wait AND pg_try_advisory_xact_lock(lock_key);
    IF NOT waits THEN
        PERFORM pg_advisory_xact_lock(lock_key), set_config('synchronous_commit', 'off', true);
    END IF;
    SELECT head.seq, encode(head.hash, 'hex') INTO STRICT seq, hash FROM audit_head AS head ORDER BY head.seq DESC LIMIT 1;
END $$;
CREATE OR REPLACE FUNCTION take_audit_head(may_wait boolean, OUT seq bigint, OUT hash text, OUT waits boolean) LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this node''s build is older than its database, which is version 10 by now: stop it, and start the new build';
END $$;

-- As it was, with those lines.
CREATE OR REPLACE FUNCTION keep_by_hand() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    known boolean;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM check_job(NEW);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO job_totals (status, model, jobs)
            VALUES (OLD.status, CASE WHEN OLD.status IN ('ASSIGNED', 'IN_PROGRESS') THEN OLD.assigned_model ELSE 0 END, -1);
        DELETE FROM queue WHERE model = CASE OLD.status WHEN 'QUEUED' THEN 0 ELSE OLD.assigned_model END
            AND seq = OLD.seq AND job = OLD.id;
        DELETE FROM ended_jobs WHERE status = OLD.status AND seq = OLD.seq;
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
    IF NEW.status IN ('VALIDATED', 'FAILED', 'CANCELLED') THEN
        INSERT INTO ended_jobs (status, seq, model, job)
            VALUES (NEW.status, NEW.seq, coalesce(NEW.assigned_model, 0), NEW.id);
    END IF;
    RETURN NULL;
END $$;
