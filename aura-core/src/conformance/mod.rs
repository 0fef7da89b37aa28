//! The public suites that every plug-in must pass: one named test a promise.
//!
//! A store runs them all with one line in its tests; the harness says how a fresh one is opened and how its clock is moved:
//!
//! ```ignore
//! aura_core::store_conformance!(memory, MemoryHarness::default());
//! ```

pub mod adapter;
pub mod alerter;
pub mod sandbox;
pub mod store;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::contract::Store;

/// How the suite gets at a store.
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// A fresh, empty store. Each test opens one.
    async fn open(&self) -> Arc<dyn Store>;

    /// Moves the clock by which the store judges leases.
    async fn advance(&self, by: Duration);
}

/// Runs every promise of a store as a test of its own, in a module of the given name.
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $harness:expr) => {
        mod $name {
            use super::*;

            $crate::store_promises! { $harness;
                submission {
                    a_prd_is_stored_with_its_jobs_queued
                    the_same_idempotency_key_gives_the_prd_there_is
                    a_prd_that_is_there_already_is_refused_without_the_others_of_its_batch
                    prds_come_in_the_order_asked_for_and_unknown_ones_are_left_out
                    paging_sees_every_prd_and_job_once
                    jobs_are_listed_by_state_model_and_prd
                    ended_jobs_are_listed_by_how_they_ended
                    a_cancelled_prd_ends_all_its_jobs_and_keeps_its_verdict
                    a_verdict_is_stored_once
                }
                scheduling {
                    only_a_queued_job_is_assigned
                    what_is_assigned_is_claimed_in_the_same_go_by_workers_that_wait
                    all_that_is_begun_in_the_same_go_is_counted_once_and_its_flags_are_closed
                    a_held_model_is_assigned_nothing_and_its_jobs_are_not_claimed
                    a_suspended_model_is_assigned_only_as_a_probe
                    one_model_works_on_one_job_of_a_prd_only
                    siblings_are_the_models_of_live_jobs_of_the_same_prd
                    only_an_assigned_job_is_unassigned
                    load_counts_what_is_assigned_and_what_is_in_progress
                    a_bad_item_of_a_batch_leaves_the_others
                }
                leases {
                    a_job_goes_to_one_of_fifty_workers_that_claim_it_by_its_id
                    fifty_workers_that_claim_batches_never_share_a_job
                    a_batch_is_at_most_what_was_asked_for_and_oldest_first
                    claiming_by_id_says_why_it_is_refused
                    the_attempt_is_counted_at_the_claim_and_the_token_grows
                    a_heartbeat_keeps_the_lease
                    a_lease_and_a_wait_without_end_end_with_the_year_9999
                    an_ended_lease_gives_the_job_back_and_the_last_attempt_ends_it
                    whoever_has_no_lease_changes_nothing
                    a_stale_token_changes_nothing_after_the_job_was_claimed_again
                    a_worker_without_a_token_is_matched_by_its_id
                    work_claimed_in_process_is_written_only_with_its_token
                    a_report_is_taken_once_and_another_body_is_refused
                    a_released_job_waits_until_its_time
                    a_blameless_release_gives_the_attempt_back
                    the_next_deadline_is_the_earliest_lease_or_retry
                    illegal_verbs_change_nothing_in_any_state
                }
                judging {
                    artifacts_belong_to_the_jobs_model_and_extend_the_lease
                    an_attempt_is_judged_once_by_twenty_at_a_time
                    only_submitted_work_of_this_attempt_is_judged
                    a_retry_without_attempts_left_is_a_failure
                    a_run_comes_back_as_it_was_written
                    statistics_are_what_the_runs_add_up_to
                    spending_is_what_the_runs_add_up_to
                    an_attempt_without_a_run_is_unknown_spending_unless_it_was_not_billed
                    runs_are_paged_newest_first
                    prds_wait_for_the_accountant_when_no_job_is_under_way
                }
                staff {
                    a_name_is_registered_once
                    employing_again_keeps_number_standing_and_hold
                    asking_for_a_models_jobs_is_noted_by_the_stores_clock
                    a_standing_is_changed_by_one_of_twenty
                    what_hr_saw_last_is_kept_for_each_model
                    promotions_are_paged_newest_first
                }
                trail {
                    each_change_of_state_has_one_event_and_one_audit_entry
                    a_claim_of_several_jobs_has_one_entry_and_an_event_in_each_history
                    the_chain_has_no_gap_and_verifies
                    a_flag_is_raised_once_until_the_state_changes
                    alerts_are_paged_newest_first
                    a_job_without_a_sign_of_life_is_silent
                    test_failures_without_new_writes_are_counted
                    waiting_for_a_change_ends_with_it_or_with_its_time
                }
            }
        }
    };
}

/// One test for each promise.
#[doc(hidden)]
#[macro_export]
macro_rules! store_promises {
    ($harness:expr; $($area:ident { $($promise:ident)* })*) => {
        $($(
            #[tokio::test]
            async fn $promise() {
                $crate::conformance::store::$area::$promise(&$harness).await;
            }
        )*)*
    };
}

/// One test for each promise of a plug-in.
#[doc(hidden)]
#[macro_export]
macro_rules! promises {
    ($suite:ident, $plugin:expr; $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let plugin = $plugin;
                $crate::conformance::$suite::$promise(&plugin).await;
            }
        )*
    };
}
