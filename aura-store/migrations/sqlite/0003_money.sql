-- What a million tokens of a model cost: {"input", "cached_input", "output"} in dollars; absent when not known.
ALTER TABLE models ADD COLUMN price TEXT CHECK (json_valid(price));

-- Tokens read that the vendor had seen before, as part of input_tokens; and what the run cost in billionths of a dollar. Absent when
-- not known.
ALTER TABLE model_runs ADD COLUMN cached_input_tokens INTEGER CHECK (cached_input_tokens >= 0);
ALTER TABLE model_runs ADD COLUMN cost_nanos INTEGER CHECK (cost_nanos >= 0);

-- What all runs of a model for a project on one UTC day used up. Kept as runs land. `uncounted` and `unpriced` are the runs of which
-- tokens or cost are not known.
CREATE TABLE model_spending (
    model_id      INTEGER NOT NULL REFERENCES models (id),
    project_id    INTEGER NOT NULL,
    day           TEXT    NOT NULL,
    runs          INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nanos    INTEGER NOT NULL,
    uncounted     INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    PRIMARY KEY (model_id, project_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_spending_by_day ON model_spending (day);

INSERT INTO model_spending (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
SELECT model_id, project_id, substr(created_at, 1, 10), count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), 0,
       sum(input_tokens IS NULL OR output_tokens IS NULL), count(*)
FROM model_runs GROUP BY 1, 2, 3;

CREATE TRIGGER model_runs_spent AFTER INSERT ON model_runs
BEGIN
    INSERT INTO model_spending (model_id, project_id, day, runs, input_tokens, output_tokens, cost_nanos, uncounted, unpriced)
    VALUES (NEW.model_id, NEW.project_id, substr(NEW.created_at, 1, 10), 1, coalesce(NEW.input_tokens, 0),
            coalesce(NEW.output_tokens, 0), coalesce(NEW.cost_nanos, 0),
            NEW.input_tokens IS NULL OR NEW.output_tokens IS NULL, NEW.cost_nanos IS NULL)
    ON CONFLICT (model_id, project_id, day) DO UPDATE SET
        runs = runs + 1,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        cost_nanos = cost_nanos + excluded.cost_nanos,
        uncounted = uncounted + excluded.uncounted,
        unpriced = unpriced + excluded.unpriced;
END;
