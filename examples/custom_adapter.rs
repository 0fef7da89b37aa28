//! A model of one's own: anything that can answer a request can be employed beside the others. Needs python3 with pytest.

use aura_orchestra::prelude::*;

/// Answers from a cookbook; in your program this would be a call to your own model.
#[derive(Debug)]
struct Cookbook {
    profile: ModelProfile,
}

#[async_trait::async_trait]
impl ModelAdapter for Cookbook {
    fn profile(&self) -> &ModelProfile {
        &self.profile
    }

    async fn generate(&self, request: &GenerateRequest) -> Result<Generation, AdapterError> {
        if !request.prompt.contains("word_count") {
            return Err(AdapterError::Refused("the cookbook has one recipe, word_count".to_owned()));
        }
        let answer = "Splitting without an argument skips white space of every kind.\n\
            ```python\ndef word_count(text):\n    \"\"\"Return how many words `text` has.\"\"\"\n    return len(text.split())\n```\n";
        Ok(Generation::from_answer(answer, request.language))
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example talks to its user")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `in_house` says that the answers are this program's own code, so its tests may run without a sandbox. Leave it out
    // for a language model.
    let profile = ModelProfile::new("employee_cookbook", ModelKind::Local, "cookbook", "one-recipe")?.in_house();
    let orchestra = aura_orchestra::builder()
        .store(MemoryStore::new())
        .employ(Cookbook { profile })
        .employ(OfflineAdapter::builder("employee_hasty").skill(Skill::Hasty).build()?)
        .start()
        .await?;
    let tests = "from solution import word_count\n\
        def test_words(): assert word_count('one two') == 2\n\
        def test_tabs_and_edges(): assert word_count('  one\\ttwo ') == 2\n\
        def test_nothing(): assert word_count('') == 0\n";
    let prd = NewPrd::new("Write word_count(text): how many words it has, whatever the white space between them.")
        .tests(TestSuite::pytest(tests))
        .plan(Plan::Panel(2));
    let prd = orchestra.submit(prd).await?;
    println!("{}", orchestra.verdict(prd.id).await?);
    orchestra.stop().await;
    Ok(())
}
