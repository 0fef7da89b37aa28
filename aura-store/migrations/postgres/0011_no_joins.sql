-- As a join, this was planned by how many PRDs the first batches of a connection settled. One that settled many had it read the whole
-- index from then on, with all that was ever in it: behind a transaction that was open for three minutes a batch took 100 ms. An array
-- is looked for by the index, whatever is believed of the table.
CREATE OR REPLACE FUNCTION forget_settled() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM prds_to_assess WHERE prd_id = ANY(ARRAY(SELECT made.prd_id FROM made));
    RETURN NULL;
END $$;
