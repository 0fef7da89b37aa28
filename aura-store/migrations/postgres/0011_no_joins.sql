-- As a join, this was planned by what the last vacuum had counted, often nothing: then it read the whole index, with all that was ever
-- in it. Behind a transaction that was open for three minutes a batch took 100 ms. An array on the first column of an index is always
-- looked for by it.
CREATE OR REPLACE FUNCTION forget_settled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM prds_to_assess WHERE prd_id = ANY(ARRAY(SELECT made.prd_id FROM made));
    RETURN NULL;
END $$;

-- As in version 10, without a number that is over.
CREATE OR REPLACE FUNCTION take_audit_head(may_wait boolean, OUT seq bigint, OUT hash text, OUT waits boolean) LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this node''s build is older than version 10 of its database: stop it, and start the new build';
END $$;
