//! The public suites that every plug-in must pass: one named test a promise.
