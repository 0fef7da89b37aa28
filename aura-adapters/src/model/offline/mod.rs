//! Employees for demos and tests: canned code of different skill, without any model.

mod tasks;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use aura_core::{
    AdapterError, GenerateRequest, Generation, Health, Language, ModelAdapter, ModelKind, ModelProfile, Role,
};

use crate::error::BuildError;

/// How well an offline employee works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Skill {
    /// Correct, edge cases included, and documented.
    #[default]
    Careful,
    /// Right on the obvious cases, wrong on the edges, hardly documented.
    Hasty,
    /// Wrong in an obvious case, and undocumented.
    Sloppy,
}

impl Skill {
    /// The skill in one lower-case word; the `model` of the employee's identity.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Careful => "careful",
            Self::Hasty => "hasty",
            Self::Sloppy => "sloppy",
        }
    }
}

/// A deterministic employee that answers from a table of small Python tasks: the same question always gets the same
/// answer, at once, without a network.
///
/// It finds the task by the name of the function asked for: the first `name(` in the prompt that it knows. It knows
/// `add(a, b)`, `factorial(n)`, `fibonacci(n)` (0, 1, 1, 2, …), `fizzbuzz(n)` (the texts for 1 to n), `is_palindrome(text)`,
/// `slugify(text)`, `to_roman(number)` and `word_count(text)`, and what [`OfflineBuilder::solution`] teaches it. For
/// anything else it hands in a function that raises `NotImplementedError`, and says so.
///
/// Its answers are this program's own code (`profile().origin` is in-house), it never states a confidence or a usage,
/// and every explanation says that no language model was asked.
///
/// # Examples
/// ```
/// use aura_adapters::{OfflineAdapter, Skill};
/// use aura_core::ModelAdapter;
/// let employee = OfflineAdapter::builder("employee_careful").skill(Skill::Careful).build()?;
/// assert_eq!(employee.profile().identity.model, "careful");
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
pub struct OfflineAdapter {
    profile: ModelProfile,
    skill: Skill,
    latency: Duration,
    solutions: BTreeMap<String, String>,
    failures_left: AtomicU32,
    failure: fn() -> AdapterError,
}

impl OfflineAdapter {
    /// Stands in every explanation.
    pub const LABEL: &str = "offline demo employee: canned code written by the authors of Aura, no language model";

    /// Starts an employee of this name.
    pub fn builder(name: impl Into<String>) -> OfflineBuilder {
        OfflineBuilder {
            name: name.into(),
            skill: Skill::default(),
            latency: Duration::ZERO,
            concurrency: 1,
            roles: Vec::new(),
            solutions: BTreeMap::new(),
            failures: 0,
            failure: busy,
        }
    }

    fn answer(&self, request: &GenerateRequest) -> (String, Option<String>) {
        if request.language != Language::Python {
            let note = "It knows Python only, so there is no code in this answer.".to_owned();
            return (note.clone(), Some(note));
        }
        let asked: Vec<&str> = tasks::functions_named_in(&request.prompt).collect();
        let scripted = asked.iter().find_map(|name| self.solutions.get(*name));
        if let Some(code) = scripted {
            return (fenced("", code), None);
        }
        if let Some((name, code)) = asked.iter().find_map(|name| Some((*name, tasks::solution(name, self.skill)?))) {
            return (fenced(&remark(self.skill, name), code), None);
        }
        let Some(name) = asked.first() else {
            let note =
                "It found no function name such as `slugify(text)` in the task, so there is no code in this answer.";
            return (note.to_owned(), Some(note.to_owned()));
        };
        let note = format!("It does not know the task `{name}`: the function below only raises NotImplementedError.");
        let code = format!(
            "def {name}(*args, **kwargs):\n    raise NotImplementedError(\"the offline employee does not know {name}\")\n"
        );
        (fenced(&note, &code), Some(note))
    }
}

#[async_trait]
impl ModelAdapter for OfflineAdapter {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let left = self.failures_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if left.is_ok() {
            return Err((self.failure)());
        }
        let (answer, note) = self.answer(request);
        let mut generation = Generation::from_answer(&answer, request.language);
        if note.is_some() && !answer.contains("```") {
            // Prose without a fence would be read as the code itself.
            generation.artifacts = vec![aura_core::NewArtifact::docs(&answer)];
        }
        generation.explanation = match note {
            Some(note) => format!("{}. {note}", Self::LABEL),
            None => Self::LABEL.to_owned(),
        };
        Ok(generation)
    }

    async fn health(&self) -> Health {
        Health::Healthy
    }
}

/// Builds an [`OfflineAdapter`].
#[derive(Debug, Clone)]
#[must_use]
pub struct OfflineBuilder {
    name: String,
    skill: Skill,
    latency: Duration,
    concurrency: u16,
    roles: Vec<Role>,
    solutions: BTreeMap<String, String>,
    failures: u32,
    failure: fn() -> AdapterError,
}

impl OfflineBuilder {
    /// How well it works (default [`Skill::Careful`]).
    pub const fn skill(mut self, skill: Skill) -> Self {
        self.skill = skill;
        self
    }

    /// How long it takes over every answer (default: no time).
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// How many jobs it works on at once (default 1).
    pub const fn concurrency(mut self, jobs: u16) -> Self {
        self.concurrency = jobs;
        self
    }

    /// Kinds of work it takes (default: every kind).
    pub fn roles(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// Teaches it the function `name`: it then answers with this Python code, whatever its skill.
    pub fn solution(mut self, name: impl Into<String>, code: impl Into<String>) -> Self {
        self.solutions.insert(name.into(), code.into());
        self
    }

    /// Lets its first `times` answers fail with `error` (default: none fails).
    pub const fn failing(mut self, times: u32, error: fn() -> AdapterError) -> Self {
        self.failures = times;
        self.failure = error;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`BuildError::Name`] when the name cannot be accepted.
    pub fn build(self) -> Result<OfflineAdapter, BuildError> {
        let mut profile = ModelProfile::new(&self.name, ModelKind::Local, "offline", self.skill.as_str())
            .map_err(|source| BuildError::name(&self.name, source))?
            .endpoint("offline:")
            .concurrency(self.concurrency)
            .in_house();
        profile.roles = self.roles;
        Ok(OfflineAdapter {
            profile,
            skill: self.skill,
            latency: self.latency,
            solutions: self.solutions,
            failures_left: AtomicU32::new(self.failures),
            failure: self.failure,
        })
    }
}

fn busy() -> AdapterError {
    AdapterError::Busy { provider: "offline".to_owned(), message: "asked to fail".to_owned(), retry_after: None }
}

/// What goes around the code: as much as an employee of this skill would bother to write.
fn remark(skill: Skill, name: &str) -> String {
    match skill {
        Skill::Careful => format!(
            "`{name}` is written out below with a docstring that states its arguments, its result and its edge cases; \
             it uses the standard library alone."
        ),
        Skill::Hasty => format!("Here is {name}."),
        Skill::Sloppy => String::new(),
    }
}

fn fenced(prose: &str, code: &str) -> String {
    let gap = if prose.is_empty() { "" } else { "\n\n" };
    format!("{prose}{gap}```python\n{}\n```\n", code.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(prompt: &str, language: Language) -> GenerateRequest {
        GenerateRequest { language, timeout: Duration::from_secs(1), ..GenerateRequest::new(prompt) }
    }

    async fn answer(employee: &OfflineAdapter, prompt: &str) -> Generation {
        employee.generate(&asks(prompt, Language::Python)).await.unwrap()
    }

    #[tokio::test]
    async fn every_explanation_says_that_no_model_was_asked() {
        let employee = OfflineAdapter::builder("e").build().unwrap();
        for prompt in ["Write slugify(text)", "Write frobnicate(x)", "Do something"] {
            let generation = answer(&employee, prompt).await;
            assert!(generation.explanation.starts_with(OfflineAdapter::LABEL), "{}", generation.explanation);
            assert!(generation.self_confidence.is_none());
            assert!(generation.usage.output_tokens.is_none());
        }
    }

    #[tokio::test]
    async fn an_unknown_task_gets_a_function_that_is_not_implemented() {
        let generation = answer(&OfflineAdapter::builder("e").build().unwrap(), "Write frobnicate(x).").await;
        assert!(generation.output.contains("def frobnicate(") && generation.output.contains("NotImplementedError"));
        assert!(generation.explanation.contains("does not know the task `frobnicate`"));
    }

    #[tokio::test]
    async fn prose_is_never_handed_in_as_code() {
        let employee = OfflineAdapter::builder("e").build().unwrap();
        for request in [asks("Do it", Language::Python), asks("Write add(a, b)", Language::Rust)] {
            let generation = employee.generate(&request).await.unwrap();
            assert!(generation.artifacts.iter().all(|a| a.kind == aura_core::ArtifactKind::Docs));
        }
    }

    #[tokio::test]
    async fn a_scripted_solution_goes_before_the_canned_one() {
        let employee = OfflineAdapter::builder("e").solution("add", "def add(a, b): return 5").build().unwrap();
        assert!(answer(&employee, "Write add(a, b)").await.output.contains("return 5"));
    }

    #[tokio::test]
    async fn scripted_failures_come_first_and_then_end() {
        let employee = OfflineAdapter::builder("e").failing(1, || AdapterError::Refused("no".into())).build().unwrap();
        let request = asks("Write add(a, b)", Language::Python);
        assert!(matches!(employee.generate(&request).await, Err(AdapterError::Refused(_))));
        assert!(employee.generate(&request).await.is_ok());
    }

    #[test]
    fn a_name_that_cannot_be_accepted_is_refused_when_building() {
        assert!(matches!(OfflineAdapter::builder("two words").build(), Err(BuildError::Name { .. })));
    }
}
