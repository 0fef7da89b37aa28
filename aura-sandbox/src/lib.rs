//! Workspaces, patches, snapshots and test runs for code that a model wrote.
