//! The clients, each doing the same: ask one question, and take text and usage out of the answer.

use std::{future::Future, pin::Pin, sync::Arc};

use aura_adapters::{OpenAiAdapter, with_default_layers};
use aura_core::{GenerateRequest, ModelAdapter};
use serde::{Deserialize, Serialize};

const MODEL: &str = "gpt-4o-mini";
const SYSTEM: &str = "You work in the role of coder. Do the task in Python 3. Answer with one fenced code block that begins with \
                      ```python and holds the whole file solution.py.";
const PROMPT: &str = "Write add(a, b) that returns the sum of its arguments.";

type Call<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

pub trait Client {
    fn name(&self) -> &'static str;
    fn call(&self) -> Call<'_>;
}

/// The floor first.
pub fn all(base: &str) -> Vec<Box<dyn Client>> {
    vec![
        Box::new(Typed { client: client(), url: format!("{base}/chat/completions") }),
        Box::new(Ours("our OpenAiAdapter, with its default layers", ours(base))),
        Box::new(Ours("our OpenAiAdapter alone", Arc::new(bare(base)))),
        Box::new(AsyncOpenAi(async_openai(base))),
        Box::new(GenAi(genai(base))),
    ]
}

fn client() -> reqwest::Client {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().expect("a client")
}

fn bare(base: &str) -> OpenAiAdapter {
    OpenAiAdapter::builder(MODEL).base_url(base).api_key("key").concurrency(200).build().expect("an adapter")
}

pub fn ours(base: &str) -> Arc<dyn ModelAdapter> {
    Arc::new(with_default_layers(bare(base)))
}

struct Ours(&'static str, Arc<dyn ModelAdapter>);

impl Client for Ours {
    fn name(&self) -> &'static str {
        self.0
    }

    fn call(&self) -> Call<'_> {
        Box::pin(async {
            let generation = self.1.generate(&GenerateRequest::new(PROMPT)).await.expect("an answer");
            assert_eq!(generation.usage.output_tokens, Some(31));
            assert_eq!(generation.artifacts.len(), 2);
        })
    }
}

struct Typed {
    client: reqwest::Client,
    url: String,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    logprobs: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice {
    message: Content,
}

#[derive(Deserialize)]
struct Content {
    content: String,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: u64,
}

impl Client for Typed {
    fn name(&self) -> &'static str {
        "reqwest with types of serde (the floor)"
    }

    fn call(&self) -> Call<'_> {
        Box::pin(async {
            let messages = [Message { role: "system", content: SYSTEM }, Message { role: "user", content: PROMPT }];
            let request = Request { model: MODEL, messages, logprobs: true };
            let call = self.client.post(&self.url).bearer_auth("key").json(&request);
            let answer: Completion = call.send().await.expect("an answer").json().await.expect("JSON");
            assert!(answer.choices[0].message.content.len() > 10 && answer.usage.completion_tokens == 31);
        })
    }
}

type OpenAiClient = async_openai::Client<async_openai::config::OpenAIConfig>;

struct AsyncOpenAi(OpenAiClient);

fn async_openai(base: &str) -> OpenAiClient {
    let config = async_openai::config::OpenAIConfig::new().with_api_base(base).with_api_key("key");
    async_openai::Client::build(client(), config)
}

impl Client for AsyncOpenAi {
    fn name(&self) -> &'static str {
        "async-openai 0.43"
    }

    fn call(&self) -> Call<'_> {
        use async_openai::types::chat::{
            ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
        };
        Box::pin(async {
            let request = CreateChatCompletionRequest {
                model: MODEL.to_owned(),
                messages: vec![
                    ChatCompletionRequestSystemMessage::from(SYSTEM).into(),
                    ChatCompletionRequestUserMessage::from(PROMPT).into(),
                ],
                logprobs: Some(true),
                ..CreateChatCompletionRequest::default()
            };
            let answer = self.0.chat().create(request).await.expect("an answer");
            assert_eq!(answer.usage.expect("usage").completion_tokens, 31);
        })
    }
}

struct GenAi(genai::Client);

fn genai(base: &str) -> genai::Client {
    use genai::{
        ModelIden, ServiceTarget,
        adapter::AdapterKind,
        resolver::{AuthData, Endpoint, Error, ServiceTargetResolver},
    };
    let base = format!("{base}/");
    let resolver = ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| -> Result<ServiceTarget, Error> {
        let model = ModelIden::new(AdapterKind::OpenAI, target.model.model_name);
        Ok(ServiceTarget { endpoint: Endpoint::from_owned(base.clone()), auth: AuthData::from_single("key"), model })
    });
    let builder = genai::Client::builder().with_reqwest(client()).with_service_target_resolver(resolver);
    builder.build().expect("a client")
}

impl Client for GenAi {
    fn name(&self) -> &'static str {
        "genai 0.7"
    }

    fn call(&self) -> Call<'_> {
        use genai::chat::{ChatMessage, ChatRequest};
        Box::pin(async {
            let request = ChatRequest::new(vec![ChatMessage::system(SYSTEM), ChatMessage::user(PROMPT)]);
            let answer = self.0.exec_chat(MODEL, request, None).await.expect("an answer");
            assert_eq!(answer.usage.completion_tokens, Some(31));
        })
    }
}
