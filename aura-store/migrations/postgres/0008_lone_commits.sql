-- Locks the end of the audit log for a verb that is about to commit, and says whether its commit may wait for the disk: nobody else
-- had the lock, and the caller knows of nobody who waits for it. Otherwise the commit does not wait, so that others follow at once,
-- and the verb waits afterwards, together with them.
CREATE OR REPLACE FUNCTION take_audit_head(may_wait boolean, OUT seq bigint, OUT hash text, OUT waits boolean) LANGUAGE plpgsql AS $$
DECLARE
    lock_key bigint := hashtextextended('aura audit ' || current_schema(), 0);
BEGIN
    waits := may_wait AND pg_try_advisory_xact_lock(lock_key);
    IF NOT waits THEN
        PERFORM pg_advisory_xact_lock(lock_key), set_config('synchronous_commit', 'off', true);
    END IF;
    SELECT head.seq, encode(head.hash, 'hex') INTO STRICT seq, hash FROM audit_head AS head ORDER BY head.seq DESC LIMIT 1;
END $$;
