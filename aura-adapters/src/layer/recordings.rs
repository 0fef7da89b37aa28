//! Where recorded answers are kept: in memory, or one JSON file each in a folder.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aura_core::{Feedback, GenerateRequest, Generation, Language, ModelIdentity, Role, SourceFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Grows when the form of an entry, or what its key is made from, changes.
const FORMAT: u32 = 1;

/// Recorded answers, each under the SHA-256 of the model's identity and of all in the request that shapes the answer.
///
/// A clone has the same recordings, so that several adapters can share them.
///
/// In a folder each answer is one JSON file, named for its key and written under another name first, so that no reader ever
/// meets half of one. The files hold answers and no prompts. They may be committed beside an evaluation, and are read by every later
/// version that keeps the same form.
///
/// # Examples
/// ```
/// use aura_adapters::Recordings;
/// let shared = Recordings::in_memory();
/// let in_files = Recordings::in_folder("evaluation/recordings");
/// ```
#[derive(Debug, Clone)]
pub struct Recordings(Place);

#[derive(Debug, Clone)]
enum Place {
    Memory(Arc<Mutex<HashMap<String, Generation>>>),
    Folder(PathBuf),
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    format: u32,
    key: String,
    model: ModelIdentity,
    generation: Generation,
}

impl Recordings {
    /// Kept in memory, all of them, until the last clone is dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Place::Memory(Arc::default()))
    }

    /// Kept in this folder, which is made when the first answer is recorded.
    #[must_use]
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }

    /// # Errors
    /// What keeps an entry that is there from being read.
    pub(super) async fn get(&self, key: &str) -> io::Result<Option<Generation>> {
        match &self.0 {
            Place::Memory(map) => Ok(map.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()),
            Place::Folder(folder) => {
                let (path, key) = (file(folder, key), key.to_owned());
                off_the_runtime(move || read(&path, &key)).await
            }
        }
    }

    /// # Errors
    /// What keeps it from being written.
    pub(super) async fn put(&self, key: &str, model: &ModelIdentity, generation: &Generation) -> io::Result<()> {
        match &self.0 {
            Place::Memory(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), generation.clone());
                Ok(())
            }
            Place::Folder(folder) => {
                let (key, model) = (key.to_owned(), model.clone());
                let entry = Entry { format: FORMAT, key, model, generation: generation.clone() };
                let folder = folder.clone();
                off_the_runtime(move || write(&folder, &entry)).await
            }
        }
    }
}

async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.json"))
}

fn read(path: &Path, key: &str) -> io::Result<Option<Generation>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let entry: Entry = serde_json::from_slice(&text)?;
    if entry.format != FORMAT || entry.key != key {
        return Err(io::Error::other(format!("it is an entry of form {} for the key {}", entry.format, entry.key)));
    }
    Ok(Some(entry.generation))
}

fn write(folder: &Path, entry: &Entry) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let unfinished = folder.join(format!("{}.{}.{number}.unfinished", entry.key, std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec_pretty(entry)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, self::file(folder, &entry.key))
    })();
    if written.is_err() {
        // The first error is the one to tell of.
        drop(fs::remove_file(&unfinished));
    }
    written
}

/// What shapes an answer. Ids, the number of the attempt and the timeout do not.
#[derive(Serialize)]
struct Question<'a> {
    format: u32,
    model: &'a ModelIdentity,
    variant: &'a str,
    prompt: &'a str,
    context: &'a [SourceFile],
    language: Language,
    answer: Value,
    role: &'a Role,
    feedback: Option<&'a Feedback>,
    max_tokens: Option<u32>,
}

/// With the keys of every object in order: whether serde_json keeps another order depends on who else uses it.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The key of a question, as 64 hexadecimal digits.
///
/// # Errors
/// When a part of the request cannot be written as JSON.
pub(super) fn key(
    model: &ModelIdentity,
    variant: &str,
    request: &GenerateRequest,
) -> Result<String, serde_json::Error> {
    let question = Question {
        format: FORMAT,
        model,
        variant,
        prompt: &request.prompt,
        context: &request.context,
        language: request.language,
        answer: sorted(serde_json::to_value(&request.format)?),
        role: &request.role,
        feedback: request.feedback.as_ref(),
        max_tokens: request.max_tokens,
    };
    let digest = Sha256::digest(serde_json::to_vec(&question)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use aura_core::AnswerFormat;
    use serde_json::json;

    use super::*;

    /// When this fails, recordings of earlier versions are no longer found: raise `FORMAT` and say so in the changelog.
    #[test]
    fn keys_stay_what_they_were() {
        let model = ModelIdentity { provider: "ollama".to_owned(), model: "gemma3:270m".to_owned() };
        let schema = json!({"type": "object", "required": ["b", "a"], "properties": {"b": {}, "a": {}}});
        let request = GenerateRequest {
            context: vec![SourceFile::new("a.py", "x = 1")],
            format: AnswerFormat::JsonSchema(schema),
            max_tokens: Some(64),
            ..GenerateRequest::new("Write add(a, b)")
        };
        let golden = "9e70b7f872c9f5d63df34eb93913132a99382766c377f3d5a7bad4263881665c";
        assert_eq!(key(&model, "", &request).unwrap(), golden);
    }
}
