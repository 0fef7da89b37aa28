//! Asks one question of the model that the environment names, and shows all that comes back; or looks at the machine.
//!
//! ```sh
//! OLLAMA_HOST=http://127.0.0.1:11434 OLLAMA_MODEL=qwen2.5-coder:7b cargo run --example try_model
//! OPENAI_API_KEY=... cargo run --example try_model -- "Write slugify(text)"
//! cargo run --example try_model -- --machine
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

use std::{
    env,
    error::Error,
    io::Write as _,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use aura_orchestra::{
    adapters::{GeminiAdapter, HostProbe, NvmlProbe, OllamaAdapter, OllamaServer, OpenAiAdapter},
    prelude::*,
};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let argument = env::args().nth(1);
    let outcome = match argument.as_deref() {
        Some("--machine") => machine().await,
        Some("--installed") => installed().await,
        prompt => ask(prompt.unwrap_or("Write add(a, b) that returns the sum of its arguments.")).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(Some(error.as_ref() as &dyn Error), |&cause| cause.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn model() -> Result<Arc<dyn ModelAdapter>, Failure> {
    if let Some(host) = set("OLLAMA_HOST") {
        let model = set("OLLAMA_MODEL").unwrap_or_else(|| "llama3".to_owned());
        return Ok(Arc::new(OllamaAdapter::builder(model).base_url(host).build()?));
    }
    if let Some(key) = ApiKey::from_env("GEMINI_API_KEY") {
        let model = set("GEMINI_MODEL").unwrap_or_else(|| "gemini-2.5-flash".to_owned());
        return Ok(Arc::new(GeminiAdapter::builder(model).api_key(key).build()?));
    }
    let mut openai = OpenAiAdapter::builder(set("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o-mini".to_owned()));
    if let Some(key) = ApiKey::from_env("OPENAI_API_KEY") {
        openai = openai.api_key(key);
    }
    if let Some(url) = set("OPENAI_BASE_URL") {
        openai = openai.base_url(url);
    }
    Ok(Arc::new(openai.build()?))
}

async fn ask(prompt: &str) -> Result<(), Failure> {
    let model = model()?;
    let profile = model.profile().clone();
    println!("{} at {}: {:?}", profile.name, profile.endpoint, model.health().await);
    let (began, request) = (Instant::now(), GenerateRequest::new(prompt));
    let shown = Arc::new(|delta: &str| {
        print!("{delta}");
        // A terminal that is gone shows nothing, which is no reason to stop.
        let _ = std::io::stdout().flush();
    });
    let generation = model.stream(&request, shown).await?;
    println!("\n\ntook       {:.1?}", began.elapsed());
    let Usage { input_tokens, output_tokens, .. } = generation.usage;
    println!("tokens     {} in, {} out", or_absent(input_tokens), or_absent(output_tokens));
    let Timings { load, prompt, output } = generation.timings;
    let [load, prompt, output] = [load, prompt, output].map(|time| or_absent(time.map(|time| format!("{time:.1?}"))));
    println!("time       loading {load}, reading {prompt}, writing {output}");
    println!(
        "confidence {}",
        or_absent(generation.self_confidence.map(|confidence| format!("{:.3}", confidence.get())))
    );
    let cost = profile.price.and_then(|price| price.cost(&generation.usage));
    let as_of = PriceTable::embedded().as_of();
    println!("cost       {}", or_absent(cost.map(|cost| format!("{cost} by prices of {as_of}"))));
    println!("pieces     {:?}", generation.artifacts.iter().map(|piece| piece.kind).collect::<Vec<_>>());
    println!("explained  {}", generation.explanation);
    Ok(())
}

fn or_absent(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| value.to_string())
}

async fn installed() -> Result<(), Failure> {
    let host = set("OLLAMA_HOST").unwrap_or_else(|| "http://127.0.0.1:11434".to_owned());
    let server = OllamaServer::new(&host, None)?;
    println!("Ollama {} at {host}", server.version().await?);
    let resident = server.resident().await?;
    for model in server.installed().await? {
        let needs = server.needs(&model, 8192).await?;
        let loaded = resident.iter().find(|loaded| loaded.name == model.name);
        let really = loaded.map_or_else(
            || "not loaded".to_owned(),
            |loaded| format!("loaded: {} of {} on GPUs", loaded.vram, loaded.total),
        );
        println!(
            "{:<32} {:>6} {:<8} needs {} with 8192 tokens; {really}",
            model.name, model.parameter_size, model.quantization, needs.vram
        );
    }
    Ok(())
}

async fn machine() -> Result<(), Failure> {
    let look = Duration::from_secs(10);
    let cards = tokio::time::timeout(look, NvmlProbe::new().snapshot()).await??;
    match cards.gpus {
        None => println!("GPUs       not known: there is no NVIDIA driver that answers"),
        Some(gpus) => gpus.iter().for_each(|gpu| {
            println!(
                "GPU        {}: {} of {} free, {} busy",
                gpu.name,
                gpu.free,
                gpu.total,
                or_absent(gpu.utilisation.map(|part| format!("{:.0} %", part.get() * 100.0)))
            );
        }),
    }
    let host = tokio::time::timeout(look, HostProbe::new().snapshot()).await??;
    println!("memory     {} of {} free", or_absent(host.free_memory), or_absent(host.total_memory));
    println!("cores      {}", or_absent(host.cores));
    Ok(())
}
