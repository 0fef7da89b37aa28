//! Real weights: llama.cpp's own server, and ollama-proxy-plus in front of it, which speaks Ollama's wire.

use std::sync::Arc;

use aura_orchestra::{
    adapters::{OllamaAdapter, OllamaServer, OpenAiAdapter, PromptStyle},
    prelude::*,
};

use crate::Report;

const HEAD: &str = "def add(a, b):\n    \"\"\"Return the sum of a and b.\"\"\"\n";

pub(crate) async fn check(llama: &str, proxy: &str, report: &mut Report) {
    let openai = || {
        let employee =
            OpenAiAdapter::builder("gemma3:270m").base_url(format!("{llama}/v1")).provider("llama.cpp").local();
        employee.temperature(0.0).seed(1).max_tokens(48).prompt_style(PromptStyle::Complete).build()
    };
    report.check("llama.cpp, whole, with confidence", ask(openai(), Ask::Whole, true).await);
    report.check("llama.cpp, streamed, with confidence", ask(openai(), Ask::Streamed, true).await);
    report.check("llama.cpp, JSON by a schema", schema(llama).await);
    let ollama = || {
        let employee = OllamaAdapter::builder("local/gemma3:270m").base_url(proxy).logprobs(false);
        employee.temperature(0.0).max_tokens(48).build()
    };
    report.check("Ollama's wire, whole", ask(ollama(), Ask::Whole, false).await);
    report.check("Ollama's wire, streamed", ask(ollama(), Ask::Streamed, false).await);
    report.check("Ollama's wire, what is installed", installed(proxy).await);
    let health = |health: Health| match health {
        Health::Healthy => Ok("healthy".to_owned()),
        other => Err(format!("{other:?}")),
    };
    match (openai(), ollama()) {
        (Ok(openai), Ok(ollama)) => {
            report.check("llama.cpp, health", health(openai.health().await));
            report.check("Ollama's wire, health", health(ollama.health().await));
        }
        (openai, ollama) => report.check("health", Err(format!("{openai:?} {ollama:?}"))),
    }
}

#[derive(Clone, Copy)]
enum Ask {
    Whole,
    Streamed,
}

async fn ask<E: std::fmt::Display>(
    adapter: Result<impl ModelAdapter, E>,
    how: Ask,
    confidence: bool,
) -> Result<String, String> {
    let adapter = adapter.map_err(|error| error.to_string())?;
    let request = GenerateRequest::new(HEAD);
    let generation = match how {
        Ask::Whole => adapter.generate(&request).await,
        Ask::Streamed => adapter.stream(&request, Arc::new(|_: &str| {})).await,
    };
    let generation = generation.map_err(|error| error.to_string())?;
    let (sure, tokens) = (generation.self_confidence, generation.usage.output_tokens);
    if generation.output.trim().is_empty() || tokens.is_none_or(|tokens| tokens == 0) || sure.is_some() != confidence {
        return Err(format!("{generation:?}"));
    }
    let sure = sure.map_or_else(|| "no confidence".to_owned(), |sure| format!("confidence {:.3}", sure.get()));
    let first: String = generation.output.trim().lines().next().unwrap_or_default().chars().take(40).collect();
    Ok(format!("{} tokens, {sure}, begins with {first:?}", tokens.unwrap_or_default()))
}

async fn schema(llama: &str) -> Result<String, String> {
    let employee = OpenAiAdapter::builder("gemma3:270m").base_url(format!("{llama}/v1")).local().max_tokens(64);
    let employee = employee.temperature(0.0).build().map_err(|error| error.to_string())?;
    let schema = serde_json::json!({ "type": "object", "properties": { "sum": { "type": "integer" } }, "required": ["sum"],
                                     "additionalProperties": false });
    let request = GenerateRequest { format: AnswerFormat::JsonSchema(schema), ..GenerateRequest::new("2 + 3 = ?") };
    let generation = employee.generate(&request).await.map_err(|error| error.to_string())?;
    Ok(generation.output.chars().take(60).collect())
}

async fn installed(proxy: &str) -> Result<String, String> {
    let server = OllamaServer::new(proxy, None).map_err(|error| error.to_string())?;
    let installed = server.installed().await.map_err(|error| error.to_string())?;
    match installed.iter().any(|model| model.name == "local/gemma3:270m") {
        true => Ok(format!("{} models, gemma3:270m among them", installed.len())),
        false => Err(format!("{installed:?}")),
    }
}
