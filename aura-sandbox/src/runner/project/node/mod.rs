//! The tests of Node's own runner: read from the files by a program of ours, which runs apart from the work.

mod command;

use std::time::Duration;

use aura_core::{Project, SandboxError, SourceFile};
use serde::Deserialize;
use serde_json::json;

use self::command::{ENDINGS, Node};
use super::{
    copies::{self, Found, Language},
    plan::Plan,
    reader::{self, Reader},
    wrong::Scalar,
};
use crate::runner::Place;

/// Reads the files. Node brings the parser.
const PROGRAM: &str = concat!(
    include_str!("values.js"),
    "\n",
    include_str!("names.js"),
    "\n",
    include_str!("assertions.js"),
    "\n",
    include_str!("file.js"),
    "\n",
    include_str!("tests.js")
);

/// What the program answers.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    unsure: String,
    found: Option<Found>,
}

/// How JavaScript is written.
struct JavaScript;

impl Language for JavaScript {
    fn literal(&self, value: &Scalar) -> String {
        match value {
            Scalar::Int(value, suffix) => format!("{value}{suffix}"),
            Scalar::Float(value, _) => format!("{value:?}"),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Text(text) => self.name(text),
            Scalar::Char(c) => self.name(&c.to_string()),
            Scalar::Bytes(bytes) => format!("Buffer.from({})", json!(bytes)),
            Scalar::Byte(byte) => byte.to_string(),
            Scalar::OneOf(name, _) => name.clone(),
        }
    }

    fn name(&self, name: &str) -> String {
        json!(name).to_string()
    }
}

/// Makes a plan; the reason why there can be none, empty when the command is not Node's.
pub(super) async fn plan(
    place: &Place,
    project: &Project,
    timeout: Duration,
) -> Result<Result<Plan, String>, SandboxError> {
    let node = match Node::of(project) {
        Ok(node) => node,
        Err(why) => return Ok(Err(why)),
    };
    let found = {
        let (place, project) = (place.clone(), project.clone());
        crate::blocking(move || prepare(&place, &project, &node)).await?
    };
    let (reader, pristine) = match found {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    match reader.read(place, timeout).await? {
        Ok(Told { found: Some(found), .. }) => Ok(copies::plan(&JavaScript, pristine, found)),
        Ok(Told { unsure, .. }) => Ok(Err(reader::no_twins(&unsure))),
        Err(why) => Ok(Err(why)),
    }
}

/// Finds the pristine test files, and Node.
fn prepare(
    place: &Place,
    project: &Project,
    node: &Node,
) -> Result<Result<(Reader, Vec<SourceFile>), String>, SandboxError> {
    let files = reader::pristine(&place.slot, project, &ENDINGS);
    let mut pristine = Vec::new();
    for path in &node.files {
        match files.get(path) {
            Some(text) => pristine.push(SourceFile::new(path, text)),
            None => return Ok(Err(format!("neither the suite nor the context brings the test file {path}"))),
        }
    }
    // What the tests load may make more of them.
    let beside = |file: &&SourceFile| !node.files.contains(&file.path) && file.text.contains("node:test");
    if let Some(file) = project.files.iter().find(beside) {
        return Ok(Err(reader::no_twins(&format!("{} may make tests too", file.path))));
    }
    let tests: Vec<_> = pristine.iter().map(|file| json!({ "path": file.path, "text": file.text })).collect();
    let input = json!({ "files": tests });
    let reader = Reader::new(place, &node.program, &["--expose-internals", "-e", PROGRAM], &input)?;
    Ok(reader.map(|reader| (reader, pristine)))
}
