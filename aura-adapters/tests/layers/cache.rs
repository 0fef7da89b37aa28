//! What was recorded is replayed; nothing is counted twice.

use std::sync::Arc;

use aura_adapters::{AdapterExt, CacheMode, Cap, Ledger, Recordings};
use aura_core::{
    AdapterError, AnswerFormat, Feedback, GenerateRequest, Language, ModelAdapter, Price, Role, SourceFile, Usd,
};

use crate::script::{Scripted, Step, Text, ask, failed, seconds};

fn model() -> Scripted {
    Scripted::new(|_| Step::answers().using(10, 5)).price(Price::per_million(1.0, 1.0).expect("a price"))
}

fn shut(error: &AdapterError) -> &str {
    match error {
        AdapterError::Shut { gate: "cache", reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_same_question_is_answered_without_asking_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for recordings in [Recordings::in_memory(), Recordings::in_folder(folder.path().join("made/when/needed"))] {
        let asked = model();
        let adapter = asked.clone().cache(recordings.clone());
        let first = adapter.generate(&ask()).await.expect("an answer");
        // Another adapter, as after a restart; another job, attempt and timeout.
        let adapter = model().cache(recordings).mode(CacheMode::ReadOnly);
        let again = GenerateRequest { attempt: 4, timeout: seconds(1), ..ask() };
        let replay = adapter.generate(&again).await.expect("a replay");
        assert_eq!((&replay.output, &replay.artifacts), (&first.output, &first.artifacts));
        assert!(replay.explanation.starts_with("Replayed from a recording, no model was asked."));
        let text = Arc::new(Text::default());
        adapter.stream(&again, text.clone()).await.expect("a replay");
        assert_eq!(text.read(), first.output);
        assert_eq!(asked.calls(), 1);
    }
}

#[tokio::test]
async fn a_replay_costs_nothing() {
    let ledger = Ledger::new().per_day(Cap::tokens(100_000));
    let adapter = model().cache(Recordings::in_memory()).budget(ledger.clone());
    adapter.generate(&ask()).await.expect("an answer");
    let spent = ledger.spent_today();
    let replay = adapter.generate(&ask()).await.expect("a replay");
    assert_eq!((spent.tokens, ledger.spent_today()), (15, spent));
    assert_eq!(adapter.profile().price.and_then(|price| price.cost(&replay.usage)), Some(Usd::ZERO));
}

#[tokio::test]
async fn whatever_shapes_the_answer_makes_another_question() {
    let feedback = Feedback {
        attempt: 1,
        why: "wrong".to_owned(),
        failed: Vec::new(),
        output: String::new(),
        work: Vec::new(),
        patches: Vec::new(),
    };
    let questions = [
        ask(),
        GenerateRequest { prompt: "Write sub(a, b)".to_owned(), ..ask() },
        GenerateRequest { context: vec![SourceFile::new("a.py", "x")], ..ask() },
        GenerateRequest { language: Language::Rust, ..ask() },
        GenerateRequest { format: AnswerFormat::Json, ..ask() },
        GenerateRequest { role: Role::new("reviewer").expect("a role"), ..ask() },
        GenerateRequest { feedback: Some(feedback), ..ask() },
        GenerateRequest { max_tokens: Some(7), ..ask() },
    ];
    let (asked, recordings) = (model(), Recordings::in_memory());
    let adapter = asked.clone().cache(recordings.clone());
    for question in &questions {
        adapter.generate(question).await.expect("an answer");
    }
    assert_eq!(asked.calls(), questions.len());
    asked.clone().cache(recordings).variant("hot").generate(&ask()).await.expect("an answer");
    assert_eq!(asked.calls(), questions.len() + 1);
}

#[tokio::test]
async fn a_question_that_was_not_recorded_is_an_error_when_only_reading() {
    let asked = model();
    let adapter = asked.clone().cache(Recordings::in_memory()).mode(CacheMode::ReadOnly);
    let error = adapter.generate(&ask()).await.expect_err("a miss");
    assert!(shut(&error).contains("record it with CacheMode::ReadWrite"), "{error}");
    assert_eq!(asked.calls(), 0);
}

#[tokio::test]
async fn an_error_is_not_recorded() {
    let asked = Scripted::new(|call| if call == 1 { Step::fails(failed()) } else { Step::answers() });
    let adapter = asked.clone().cache(Recordings::in_memory());
    assert!(adapter.generate(&ask()).await.is_err());
    adapter.generate(&ask()).await.expect("an answer");
    assert_eq!(asked.calls(), 2);
}

#[tokio::test]
async fn a_broken_recording_is_never_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    let recordings = Recordings::in_folder(folder.path());
    let asked = model();
    let adapter = asked.clone().cache(recordings.clone());
    adapter.generate(&ask()).await.expect("an answer");
    let files: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "nothing unfinished is left: {files:?}");
    let text = std::fs::read_to_string(&files[0]).expect("a file");
    assert!(!text.contains("add(a, b)"), "a recording holds no prompt");
    // One that was cut, and one that was renamed to another question's key.
    for broken in [text[..text.len() / 2].to_owned(), text.replace("\"key\": \"", "\"key\": \"0")] {
        std::fs::write(&files[0], broken).expect("written");
        let error =
            model().cache(recordings.clone()).mode(CacheMode::ReadOnly).generate(&ask()).await.expect_err("broken");
        assert!(shut(&error).contains("cannot be read"), "{error}");
        let calls = asked.calls();
        adapter.generate(&ask()).await.expect("an answer");
        assert_eq!(asked.calls(), calls + 1, "asked anew");
    }
    model().cache(recordings).mode(CacheMode::ReadOnly).generate(&ask()).await.expect("mended by asking anew");
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_given_out_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").expect("written");
    model().cache(Recordings::in_folder(file)).generate(&ask()).await.expect("an answer");
}
