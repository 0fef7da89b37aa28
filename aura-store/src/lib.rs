//! Where Aura Orchestra keeps its jobs, models, runs and audit log: memory or SQLite.
