//! What looks wrong: pure rules from what is known of a job to an alert.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    audit::{NewAlert, Severity},
    ids::JobId,
    job::Job,
};

/// The time in which test failures are counted (the user's document: an hour).
pub(crate) const FAILURE_WINDOW: Duration = Duration::from_secs(3600);
/// Failures without new writes that are still borne (the user's document: more than 3 are flagged).
pub(crate) const MAX_FAILURES: u32 = 3;

/// A job that shows no sign of life for `stall_after`.
pub(crate) fn silent(
    job: &Job,
    now: DateTime<Utc>,
    stall_after: Duration,
    waits_for: Option<&str>,
) -> Option<NewAlert> {
    let silent = (now - job.updated_at).to_std().ok().filter(|silent| *silent >= stall_after)?;
    if job.state.status().is_final() {
        return None;
    }
    let because = waits_for.map(|why| format!("; it waits: {why}")).unwrap_or_default();
    Some(NewAlert {
        job_id: Some(job.id),
        severity: Severity::Warning,
        rule: Some("silent".to_owned()),
        reason: format!("{} and silent for {} s{because}", job.state.status(), silent.as_secs()),
    })
}

/// A job whose tests fail again and again while nothing new is written.
pub(crate) fn failing(job: JobId, failures: u32) -> Option<NewAlert> {
    (failures > MAX_FAILURES).then(|| NewAlert {
        job_id: Some(job),
        severity: Severity::Warning,
        rule: Some("failing".to_owned()),
        reason: format!("{failures} test failures within the hour without new writes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{PrdId, ProjectId, Role},
        job::JobState,
    };

    fn job(state: JobState) -> Job {
        Job {
            id: JobId::new(),
            prd_id: PrdId::new(),
            project_id: ProjectId(0),
            role: Role::default(),
            state,
            attempt: 0,
            max_attempts: 3,
            pinned: None,
            tried: Vec::new(),
            last_error: None,
            not_before: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_job_is_silent_at_three_minutes_and_not_before() {
        let stall = Duration::from_secs(180);
        let at = |seconds| DateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(silent(&job(JobState::Queued), at(179), stall, None), None);
        let alert = silent(&job(JobState::Queued), at(180), stall, Some("no model is employed")).unwrap();
        assert_eq!(alert.reason, "QUEUED and silent for 180 s; it waits: no model is employed");
    }

    #[test]
    fn a_job_that_has_ended_may_be_silent() {
        let ended = job(JobState::Cancelled { reason: String::new() });
        assert_eq!(silent(&ended, DateTime::UNIX_EPOCH + FAILURE_WINDOW, Duration::from_secs(1), None), None);
    }

    #[test]
    fn the_fourth_failure_is_flagged() {
        assert_eq!(failing(JobId::new(), 3), None);
        assert!(failing(JobId::new(), 4).is_some());
    }
}
