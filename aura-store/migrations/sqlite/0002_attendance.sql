-- When a worker last asked for a model's jobs.
ALTER TABLE models ADD COLUMN asked_at TEXT;
