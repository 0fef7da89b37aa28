//! Programs that want everything, or never to end, behind the strongest back end.

use aura_orchestra::{prelude::*, sandbox};

use crate::{SECOND, house, nothing_is_left_of, tested, while_the_door_answers};

/// The programs that the sandbox's own tests send, by name.
const BOMBS: [(&str, &str); 8] = [
    ("fork", include_str!("../../aura-sandbox/tests/hostile/bombs/fork.py")),
    ("memory", include_str!("../../aura-sandbox/tests/hostile/bombs/memory.py")),
    ("memory_together", include_str!("../../aura-sandbox/tests/hostile/bombs/memory_together.py")),
    ("disk", include_str!("../../aura-sandbox/tests/hostile/bombs/disk.py")),
    ("endless", include_str!("../../aura-sandbox/tests/hostile/bombs/endless.py")),
    ("detached", include_str!("../../aura-sandbox/tests/hostile/bombs/detached.py")),
    ("stops", include_str!("../../aura-sandbox/tests/hostile/bombs/stops.py")),
    ("group_stops", include_str!("../../aura-sandbox/tests/hostile/bombs/group_stops.py")),
];

#[tokio::test]
async fn the_door_answers_while_bombs_go_off_and_nothing_is_left_of_them() {
    let house = house().await;
    let mut limits = sandbox::Limits::default();
    limits.memory_bytes = 300 << 20;
    limits.processes = 60;
    limits.workspace_bytes = 32 << 20;
    limits.temporary_bytes = 8 << 20;
    let sandbox = LocalSandbox::builder().limits(limits).build().expect("a sandbox");
    assert_eq!(sandbox.back_end(), BackEnd::Bubblewrap, "{:?}", sandbox.refused());
    for (name, program) in BOMBS {
        let word = format!("bomb-{name}-{}", std::process::id());
        let program = format!("# {word}\n{program}");
        let suite = TestSuite::project(Vec::new(), ["python3", "-c", &program], ReportFormat::ExitCode);
        let report = while_the_door_answers(&house, tested(&sandbox, &[], &suite.timeout(2 * SECOND))).await;
        // Two end by themselves, and leave processes behind: they are what has to be gone.
        let ends_well = matches!(name, "detached" | "memory_together");
        assert!(ends_well || !report.is_pass(), "{name}: {report:#?}");
        nothing_is_left_of(&word).await;
    }
    nothing_is_left_of(&sandbox.root().to_string_lossy()).await;
    house.close().await;
}
