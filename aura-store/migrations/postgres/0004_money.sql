-- What a million tokens of a model cost: {"input", "cached_input", "output"} in dollars; absent when not known.
ALTER TABLE models ADD COLUMN price json;

-- Tokens read that the vendor had seen before, as part of input_tokens; and what the run cost in billionths of a dollar. Absent when
-- not known.
ALTER TABLE model_runs
    ADD COLUMN cached_input_tokens bigint CHECK (cached_input_tokens >= 0),
    ADD COLUMN cost_nanos          bigint CHECK (cost_nanos >= 0);

-- What all runs of a model for a project on one UTC day used up. Kept as runs land. `uncounted` and `unpriced` are the runs of which
-- tokens or cost are not known.
CREATE TABLE model_spending (
    model_id      int    NOT NULL,
    project_id    int    NOT NULL,
    day           date   NOT NULL,
    runs          bigint NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nanos    bigint NOT NULL,
    uncounted     bigint NOT NULL,
    unpriced      bigint NOT NULL,
    PRIMARY KEY (day, model_id, project_id)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

INSERT INTO model_spending (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
SELECT model_id, project_id, (created_at AT TIME ZONE 'UTC')::date, count(*), coalesce(sum(input_tokens), 0)::bigint,
       coalesce(sum(output_tokens), 0)::bigint, 0, count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL), count(*)
FROM model_runs GROUP BY 1, 2, 3;

-- Rows are touched in the order of their keys, as in add_up_runs, so that two transactions cannot wait for one another in a circle.
CREATE FUNCTION add_up_spending() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO model_spending AS spent
        (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
    SELECT model_id, project_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*), coalesce(sum(input_tokens), 0)::bigint,
           coalesce(sum(output_tokens), 0)::bigint, coalesce(sum(cost_nanos), 0)::bigint,
           count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL), count(*) FILTER (WHERE cost_nanos IS NULL)
    FROM made GROUP BY model_id, project_id, 3 ORDER BY 3, model_id, project_id
    ON CONFLICT (day, model_id, project_id) DO UPDATE SET
        runs = spent.runs + excluded.runs,
        input_tokens = spent.input_tokens + excluded.input_tokens,
        output_tokens = spent.output_tokens + excluded.output_tokens,
        cost_nanos = spent.cost_nanos + excluded.cost_nanos,
        uncounted = spent.uncounted + excluded.uncounted,
        unpriced = spent.unpriced + excluded.unpriced;
    RETURN NULL;
END $$;
CREATE TRIGGER model_runs_spent AFTER INSERT ON model_runs REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION add_up_spending();
