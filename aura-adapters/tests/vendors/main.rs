//! The adapters of vendors against recorded traffic and hostile servers: the request is matched as well as the answer.
#![cfg(all(feature = "openai", feature = "ollama", feature = "gemini"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod gemini;
mod hostile;
mod ollama;
mod openai;
mod server;

/// Keeps the tests whole when a recording is added.
#[test]
fn every_recording_is_used_by_a_test() {
    let sources = [include_str!("openai.rs"), include_str!("ollama.rs"), include_str!("gemini.rs")].concat();
    for vendor in ["openai", "ollama", "gemini"] {
        let folder = format!("{}/tests/recordings/{vendor}", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(sources.contains(&format!("{name}\"")), "{vendor}/{name} is used by no test");
        }
    }
}
