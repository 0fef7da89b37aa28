-- What the verbs write into `jobs` they have checked. The text of a table's checks is read anew by every statement that writes to
-- it, which took more than half of an update; so jobs are checked where they are written by hand, by the trigger that keeps the
-- books for such rows.
ALTER TABLE jobs
    DROP CONSTRAINT jobs_max_attempts_check,
    DROP CONSTRAINT jobs_score_check,
    DROP CONSTRAINT jobs_lease_token_check,
    DROP CONSTRAINT jobs_attempt_check,
    DROP CONSTRAINT jobs_status_check,
    DROP CONSTRAINT jobs_door_check,
    DROP CONSTRAINT jobs_check,
    DROP CONSTRAINT jobs_check1,
    DROP CONSTRAINT jobs_check2,
    DROP CONSTRAINT jobs_check3;

CREATE FUNCTION check_job(job jobs) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wrong text := CASE
        WHEN job.status NOT IN ('QUEUED', 'ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED', 'FAILED', 'CANCELLED')
            THEN format('status may not be %L', job.status)
        WHEN job.door NOT IN ('remote', 'in_process') THEN format('door may not be %L', job.door)
        WHEN job.max_attempts < 1 THEN 'max_attempts must be at least 1'
        WHEN job.attempt < 0 THEN 'attempt may not be negative'
        WHEN job.attempt > job.max_attempts THEN 'attempt may not exceed max_attempts'
        WHEN job.lease_token < 0 THEN 'lease_token may not be negative'
        WHEN job.score NOT BETWEEN 0.0 AND 1.0 THEN 'score must be 0 to 1'
        WHEN job.status IN ('ASSIGNED', 'IN_PROGRESS', 'SUBMITTED', 'VALIDATED') AND job.assigned_model IS NULL
            THEN format('a job that is %s needs its assigned_model', job.status)
        WHEN job.status IN ('IN_PROGRESS', 'SUBMITTED') AND job.worker_id IS NULL
            THEN format('a job that is %s needs its worker_id', job.status)
        WHEN job.status = 'VALIDATED' AND job.score IS NULL THEN 'a job that is VALIDATED needs its score'
    END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'job %: %', job.id, wrong USING ERRCODE = 'check_violation';
    END IF;
END $$;

-- As it was, with that check.
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
