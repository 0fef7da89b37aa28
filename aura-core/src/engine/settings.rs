//! What an orchestra can be told about its pace and its rules.

use std::time::Duration;

use crate::engine::{hr::HrSettings, manager::attendance::NOTE_EVERY};

/// Pace and rules of an orchestra; every value has a default.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long a lease lasts unless it is extended (default 30 s).
    pub lease: Duration,
    /// How often a worker extends its leases (default 10 s).
    pub heartbeat: Duration,
    /// How long a lease lasts for a worker that claims a job by its id and may know no heartbeat (default 180 s).
    pub direct_lease: Duration,
    /// How long [`stop`](crate::Orchestra::stop) lets running work finish before it is handed back (default 20 s).
    pub grace: Duration,
    /// How often every loop looks for work that nobody told it about (default 1 s).
    pub poll: Duration,
    /// Most local models that may be busy or loaded at once, whoever loaded them (default 3). Which are loaded, a probe tells; without
    /// one, those that are busy count.
    pub max_local: usize,
    /// A model counts as worked for when a worker asked for its jobs within this time (default 60 s). Jobs go to such models
    /// first, and come back from the others.
    pub attendance: Duration,
    /// Share of assignments that go to a uniformly chosen model, suspended ones included (default 0.02).
    pub probe_share: f64,
    /// Jobs whose tests run at the same time (default 2). What needs no tests is scored beside them.
    pub accountants: usize,
    /// How often HR looks at everybody (default 1 hour).
    pub hr_interval: Duration,
    /// How long a node that shares a store with others keeps a duty without a word; then another one takes it (default 6 s).
    pub duty_lease: Duration,
    /// What HR goes by.
    pub hr: HrSettings,
    /// How often the auditor looks at everything (default 30 s).
    pub audit_interval: Duration,
    /// A job without any sign of life for this long is flagged (default 3 minutes).
    pub stall_after: Duration,
    /// Runs tests of model-written code although the sandbox isolates nothing (default `false`). Only an operator may
    /// type this; it is written into the audit log.
    pub allow_unsandboxed: bool,
    /// Seed of every random choice (default: from the operating system).
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            direct_lease: Duration::from_secs(180),
            grace: Duration::from_secs(20),
            poll: Duration::from_secs(1),
            max_local: 3,
            attendance: Duration::from_secs(60),
            probe_share: 0.02,
            accountants: 2,
            hr_interval: Duration::from_secs(3600),
            duty_lease: Duration::from_secs(6),
            hr: HrSettings::default(),
            audit_interval: Duration::from_secs(30),
            stall_after: Duration::from_secs(180),
            allow_unsandboxed: false,
            seed: None,
        }
    }
}

impl Settings {
    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// A sentence that names the setting and the way out.
    pub fn check(&self) -> Result<(), String> {
        if self.heartbeat * 2 > self.lease {
            return Err(format!(
                "heartbeat ({:?}) must be at most half of lease ({:?}), or one lost beat loses the job",
                self.heartbeat, self.lease
            ));
        }
        let notes = self.poll.saturating_add(NOTE_EVERY).saturating_mul(2);
        if self.attendance < notes {
            return Err(format!(
                "attendance ({:?}) must be at least {notes:?}, which is twice poll and {NOTE_EVERY:?}, or models that are \
                 worked for look abandoned",
                self.attendance
            ));
        }
        for (name, value) in [
            ("heartbeat", self.heartbeat),
            ("poll", self.poll),
            ("hr_interval", self.hr_interval),
            ("audit_interval", self.audit_interval),
            ("stall_after", self.stall_after),
            ("direct_lease", self.direct_lease),
        ] {
            if value.is_zero() {
                return Err(format!("{name} must be more than 0"));
            }
        }
        if self.accountants == 0 || self.max_local == 0 {
            return Err("accountants and max_local must be at least 1".to_owned());
        }
        if !(0.0..=1.0).contains(&self.probe_share) {
            return Err(format!("probe_share is {}: it must be 0 to 1", self.probe_share));
        }
        self.hr.check()
    }
}
