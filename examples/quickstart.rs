//! Three offline employees, one PRD with real tests, and the verdict with its parts. Needs python3 with pytest.

use aura_orchestra::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let orchestra = aura_orchestra::builder()
        .store(MemoryStore::new())
        .employ(OfflineAdapter::builder("employee_careful").skill(Skill::Careful).build()?)
        .employ(OfflineAdapter::builder("employee_hasty").skill(Skill::Hasty).build()?)
        .employ(OfflineAdapter::builder("employee_sloppy").skill(Skill::Sloppy).build()?)
        .start()
        .await?;
    let tests = "from solution import slugify\n\
        def test_words(): assert slugify('Hello World') == 'hello-world'\n\
        def test_signs(): assert slugify('Rust, and -- Python!') == 'rust-and-python'\n\
        def test_edges(): assert slugify('  (ok)  ') == 'ok'\n";
    let prd = NewPrd::new("Write slugify(text): lower case, words joined by single hyphens, nothing else.")
        .tests(TestSuite::pytest(tests))
        .plan(Plan::Panel(3));
    let prd = orchestra.submit(prd).await?;
    let verdict = orchestra.verdict(prd.id).await?;
    #[expect(clippy::print_stdout, reason = "an example talks to its user")]
    {
        println!("{verdict}");
    }
    orchestra.stop().await;
    Ok(())
}
