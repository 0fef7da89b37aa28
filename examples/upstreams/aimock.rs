//! aimock speaks all three wires, and answers what its fixtures say.

use std::sync::{Arc, Mutex, PoisonError};

use aura_orchestra::{
    adapters::{GeminiAdapter, OllamaAdapter, OpenAiAdapter},
    prelude::*,
};

use crate::Report;

type Built = Result<Arc<dyn ModelAdapter>, String>;

fn built(adapter: Result<impl ModelAdapter + 'static, aura_orchestra::adapters::BuildError>) -> Built {
    adapter.map(|adapter| Arc::new(adapter) as _).map_err(|error| error.to_string())
}

pub(crate) async fn check(url: &str, report: &mut Report) {
    let employees: [(&str, Built); 3] = [
        ("OpenAI", built(OpenAiAdapter::builder("gpt-4o-mini").base_url(format!("{url}/v1")).api_key("mock").build())),
        ("Gemini", built(GeminiAdapter::builder("gemini-2.5-flash").base_url(url).api_key("mock").build())),
        ("Ollama", built(OllamaAdapter::builder("llama3.2").base_url(url).build())),
    ];
    for (vendor, employee) in employees {
        report.check(&format!("{vendor}, whole"), whole(&employee).await);
        report.check(&format!("{vendor}, streamed"), streamed(&employee).await);
        report.check(&format!("{vendor}, nothing to say"), nothing(&employee).await);
    }
}

const CODE: &str = "def add(a, b):\n    return a + b\n";

fn has_the_code(generation: &Generation) -> Result<String, String> {
    let files = generation.artifacts.iter().find(|piece| piece.kind == ArtifactKind::Result);
    let text = files.and_then(|files| files.body.pointer("/files/0/text")).and_then(|text| text.as_str());
    match text {
        Some(CODE) => Ok(format!("the code, and {} tokens", tokens(generation))),
        _ => Err(format!("{generation:?}")),
    }
}

fn tokens(generation: &Generation) -> String {
    generation.usage.output_tokens.map_or_else(|| "an unknown number of".to_owned(), |tokens| tokens.to_string())
}

async fn whole(employee: &Built) -> Result<String, String> {
    let employee = employee.as_ref().map_err(Clone::clone)?;
    let generation = employee.generate(&GenerateRequest::new("Write add(a, b)")).await;
    has_the_code(&generation.map_err(|error| error.to_string())?)
}

async fn streamed(employee: &Built) -> Result<String, String> {
    let employee = employee.as_ref().map_err(Clone::clone)?;
    let deltas = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&deltas);
    let sink = Arc::new(move |delta: &str| {
        shared.lock().unwrap_or_else(PoisonError::into_inner).push(delta.to_owned());
    });
    let generation = employee.stream(&GenerateRequest::new("Write add(a, b)"), sink).await;
    let generation = generation.map_err(|error| error.to_string())?;
    let deltas = deltas.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if deltas.len() < 2 || deltas.concat() != generation.output {
        return Err(format!("{deltas:?} of {:?}", generation.output));
    }
    has_the_code(&generation).map(|saw| format!("{saw}, in {} pieces", deltas.len()))
}

/// A question that no fixture answers is an error of the server's, and typed.
async fn nothing(employee: &Built) -> Result<String, String> {
    let employee = employee.as_ref().map_err(Clone::clone)?;
    match employee.generate(&GenerateRequest::new("Something else")).await {
        Err(
            error @ (AdapterError::UnknownModel { .. } | AdapterError::Rejected { .. } | AdapterError::Failed { .. }),
        ) => Ok(error.to_string().chars().take(90).collect()),
        other => Err(format!("{other:?}")),
    }
}
