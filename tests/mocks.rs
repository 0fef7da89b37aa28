//! What a host application does with the mocks: its own code, tested without a store or a model.

use aura_orchestra::{
    core::contract::{MockModelAdapter, MockRunStore, MockScorer, RunStore},
    prelude::*,
};

#[tokio::test]
async fn a_mocked_model_works_in_a_real_orchestra() {
    let profile = ModelProfile::new("mocked", ModelKind::Cloud, "test", "mock").expect("a profile");
    let mut model = MockModelAdapter::new();
    model.expect_profile().return_const(profile);
    // A mock has no defaults: nothing stands before this model.
    model.expect_gates().return_const(Vec::new());
    model
        .expect_generate()
        .withf(|request| request.prompt == "write one()")
        .times(1)
        .returning(|request| Ok(Generation::from_answer("def one(): return 1", request.language)));
    let mut scorer = MockScorer::new();
    scorer.expect_assess().times(1).returning(|_| Assessment {
        signals: Signals::default(),
        penalties: Penalty::ZERO,
        components: Vec::new(),
        score: Score::new(0.5).expect("in range"),
        attainable: Score::MAX,
    });
    let builder = Orchestra::builder().store(MemoryStore::new()).scorer(scorer).employ(model);
    let orchestra = builder.start().await.expect("starts");
    let prd = orchestra.submit(NewPrd::new("write one()")).await.expect("accepted");
    let verdict = orchestra.verdict(prd.id).await.expect("a verdict");
    assert!(matches!(verdict.outcome, Outcome::Won { score, .. } if score == 0.5), "{verdict}");
    orchestra.stop().await;
}

#[tokio::test]
async fn one_part_of_the_store_is_mocked_alone() {
    let mut runs = MockRunStore::new();
    runs.expect_stats().returning(|_| Ok(vec![ModelStats::none(ModelId(7))]));
    let stats = runs.stats(chrono::DateTime::UNIX_EPOCH).await.expect("answered");
    assert_eq!(stats.first().map(|stats| stats.model_id), Some(ModelId(7)));
}
