-- A job that went back to the queue keeps its last token until the next claim, and has it among those before, too: its history told of the
-- claim twice until then.
CREATE OR REPLACE VIEW job_events (id, job_id, event_type, details, created_at) AS
    SELECT id, job_id, action, details - 'job_id' - 'prd_id', created_at FROM audit_log
    WHERE job_id IS NOT NULL AND action <> 'prd.submitted'
    UNION ALL
    SELECT audit_log.id, jobs.id, 'job.queued', '{}'::jsonb, audit_log.created_at
    FROM jobs JOIN prds ON prds.id = jobs.prd_id
        JOIN audit_log ON audit_log.job_id = prds.jobs[1] AND audit_log.action = 'prd.submitted'
            AND audit_log.created_at >= jobs.created_at
    UNION ALL
    SELECT audit_log.id, jobs.id, action, details - 'jobs', audit_log.created_at
    FROM jobs CROSS JOIN LATERAL (SELECT DISTINCT lease FROM unnest(jobs.leases || jobs.lease_token) AS held (lease)) AS held
        JOIN audit_log ON audit_log.lease = held.lease AND audit_log.created_at >= jobs.created_at
    WHERE details -> 'jobs' ? jobs.id::text
    UNION ALL
    SELECT id, job_id, event_type, details, created_at FROM job_events_by_hand;
