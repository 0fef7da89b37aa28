//! What tests of model-written code run in, and what people should be told about it.

use aura_orchestra::prelude::*;

use crate::settings::ServerSettings;

/// The sandbox, and what it came to.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) sandbox: LocalSandbox,
    /// In a line, for the terminal.
    pub(crate) line: String,
    /// Said loudly, on the terminal and on the page.
    pub(crate) notices: Vec<String>,
    /// What could be installed or set for more.
    pub(crate) hints: Vec<String>,
}

/// Takes the sandbox that was asked for, or the strongest that works here. When none does, one that isolates nothing takes its
/// place: code of the offline employees is tested in it, and code of models only when the operator allowed that.
pub(crate) fn put_up(settings: &ServerSettings) -> Result<Fence, SandboxError> {
    let wanted = match settings.sandbox {
        Some(back_end) => vec![back_end],
        None => BackEnd::ISOLATING.into_iter().chain([BackEnd::Unconfined]).collect(),
    };
    let sandbox = LocalSandbox::builder().back_ends(wanted).build()?;
    let can = sandbox.capabilities();
    let line = format!(
        "{}, isolation {}: network {}, files {}, processes {}, memory {}, time {}, ipc {}",
        can.back_end, can.isolation, can.network, can.files, can.processes, can.memory, can.time, can.ipc
    );
    let (mut notices, mut hints) = (Vec::new(), Vec::new());
    let missing = &can.missing;
    if can.isolation > Isolation::None {
        hints.extend(missing.iter().map(|missing| format!("a stronger sandbox: {missing}")));
        hints.extend(can.notes.iter().filter(|note| note.starts_with("no control group")).cloned());
    } else if settings.orchestra.allow_unsandboxed {
        notices.push(format!(
            "AURA_ALLOW_UNSANDBOXED is on and no sandbox is used: code that models write runs on this machine WITHOUT \
             ISOLATION{}",
            if missing.is_empty() { String::new() } else { format!(" ({})", missing.join("; ")) }
        ));
    } else {
        notices.push(format!(
            "no sandbox works here, so tests of model-written code are NOT run, and verdicts say so ({}); \
             AURA_ALLOW_UNSANDBOXED=1 runs them without isolation",
            missing.join("; ")
        ));
    }
    Ok(Fence { sandbox, line, notices, hints })
}
