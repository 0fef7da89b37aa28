//! The audit log after somebody changed it by hand: the chain names the first row that is not what was written.

use aura_core::contract::AuditStore;

use crate::scene::Scene;

/// A log of six entries.
async fn log() -> Scene {
    let scene = Scene::new().await;
    let model = scene.model("m").await;
    scene.submitted(&model).await;
    scene.model("n").await;
    assert!(scene.newest().await.0 >= 6);
    assert_eq!(scene.check_chain().await.first_bad, None);
    scene
}

async fn assert_first_bad(sql: &str, expected: i64) {
    let scene = log().await;
    scene.sql(sql).await.unwrap();
    let bad = scene.check_chain().await.first_bad.map(|bad| bad.seq.0);
    assert_eq!(bad, Some(expected), "after {sql}");
}

#[tokio::test]
async fn an_edited_row_is_named() {
    assert_first_bad(r#"UPDATE audit_log SET details = '{"job_id": "another"}' WHERE id = 3"#, 3).await;
    assert_first_bad("UPDATE audit_log SET actor = 'nobody' WHERE id = 4", 4).await;
    assert_first_bad("UPDATE audit_log SET action = 'prd.settled' WHERE id = 1", 1).await;
    assert_first_bad("UPDATE audit_log SET created_at = '2020-01-01T00:00:00.000000Z' WHERE id = 2", 2).await;
    assert_first_bad("UPDATE audit_log SET details = 'no json at all' WHERE id = 5", 5).await;
    assert_first_bad("UPDATE audit_log SET hash = NULL WHERE id = 5", 5).await;
}

#[tokio::test]
async fn a_deleted_row_is_found_at_the_row_behind_it() {
    assert_first_bad("DELETE FROM audit_log WHERE id = 1", 2).await;
    assert_first_bad("DELETE FROM audit_log WHERE id = 4", 5).await;
}

#[tokio::test]
async fn swapped_rows_are_found_at_the_first() {
    let swap = "UPDATE audit_log SET id = -3 WHERE id = 3; UPDATE audit_log SET id = 3 WHERE id = 4;
                UPDATE audit_log SET id = 4 WHERE id = -3;";
    assert_first_bad(swap, 3).await;
}

#[tokio::test]
async fn a_row_written_by_hand_is_shown_and_named_and_the_log_goes_on() {
    let scene = log().await;
    let before = scene.newest().await;
    scene.sql("INSERT INTO audit_log (actor, action, details) VALUES ('me', 'something', '{\"a\": 1}')").await.unwrap();
    let inserted = scene.store.audit(before, 10).await.unwrap().remove(0);
    assert_eq!((inserted.actor.as_str(), inserted.action.as_str(), &inserted.hash), ("me", "something", &None));

    scene.model("another").await;
    assert_eq!(scene.newest().await.0, before.0 + 2);
    assert_eq!(scene.check_chain().await.first_bad.map(|bad| bad.seq.0), Some(before.0 + 1));

    // The chain skips the foreign row: once it is gone, nothing but its place is missing.
    let [ours] = &scene.store.audit(aura_core::AuditSeq(before.0 + 1), 10).await.unwrap()[..] else {
        panic!("one entry is expected behind the foreign one");
    };
    let last_sealed = scene.store.audit(aura_core::AuditSeq(before.0 - 1), 1).await.unwrap().remove(0);
    assert_eq!(ours.hash, Some(ours.hash_after(&last_sealed.hash.unwrap())));
}

#[tokio::test]
async fn a_tail_that_was_cut_off_leaves_a_gap_under_the_next_entry() {
    let scene = log().await;
    let newest = scene.newest().await.0;
    scene.sql("DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)").await.unwrap();
    scene.model("another").await;
    assert_eq!(scene.check_chain().await.first_bad.map(|bad| bad.seq.0), Some(newest + 1));
}

#[tokio::test]
async fn numbers_of_every_length_keep_the_chain_whole() {
    let scene = log().await;
    let entries: Vec<_> = (1..400)
        .map(|n| aura_core::audit::NewEntry {
            actor: aura_core::Actor::hr(),
            action: aura_core::Action::ModelStanding,
            details: serde_json::json!({ "n": f64::from(n) / 7.0, "tiny": 1.0e-300 / f64::from(n), "text": "a\u{0}\"\\é" }),
        })
        .collect();
    scene.store.append(&entries).await.unwrap();
    assert_eq!(scene.check_chain().await.first_bad, None);
}
