-- A submission is one entry, which names the PRD's jobs and is filed under the first of them; it is where the history of each of them
-- begins. Until now each job had an entry of its own beside it.
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
    FROM jobs CROSS JOIN LATERAL unnest(jobs.leases || jobs.lease_token) AS held (lease)
        JOIN audit_log ON audit_log.lease = held.lease AND audit_log.created_at >= jobs.created_at
    WHERE details -> 'jobs' ? jobs.id::text
    UNION ALL
    SELECT id, job_id, event_type, details, created_at FROM job_events_by_hand;
