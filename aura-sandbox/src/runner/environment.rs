//! What a test command sees of the host: a fixed list of variables, and never one that was not chosen here.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use aura_core::{ReportFormat, SandboxError};

/// Where programs are looked for besides the folder of the program itself.
#[cfg(unix)]
const SAFE_PATH: &[&str] = &["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
#[cfg(not(unix))]
const SAFE_PATH: &[&str] = &[];

/// The program to be run, and its whole environment.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    /// Where the program is.
    pub(super) program: PathBuf,
    /// What the suite called it.
    pub(super) asked_for: String,
    /// Whether it is cargo, which needs to find its own folders.
    pub(super) is_cargo: bool,
    /// Every variable there will be.
    pub(super) variables: Vec<(&'static str, OsString)>,
    /// Folders besides the system's that it needs to read.
    pub(super) tools: Vec<PathBuf>,
    path: Vec<PathBuf>,
}

impl Environment {
    /// Finds the program and puts the environment together.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] names a program that is not found, and how to get it.
    pub(super) fn find(
        program: &str,
        format: ReportFormat,
        home: &Path,
        temporary: &Path,
    ) -> Result<Self, SandboxError> {
        let host: Vec<PathBuf> = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        let safe = SAFE_PATH.iter().map(PathBuf::from);
        let search: Vec<PathBuf> = host.into_iter().filter(|folder| folder.is_absolute()).chain(safe.clone()).collect();
        let found = resolve(program, &search).ok_or_else(|| {
            SandboxError::Unavailable(format!("the program {program} is not found: {}", how_to_get(program)))
        })?;
        let own = found.parent().map(Path::to_path_buf);
        let mut path: Vec<PathBuf> = own.into_iter().collect();
        path.extend(safe.filter(|folder| !path.contains(folder)).collect::<Vec<_>>());
        let joined = env::join_paths(&path).map_err(|error| {
            SandboxError::Unavailable(format!("{program} is in a folder that no PATH can name: {error}"))
        })?;
        let stem = found.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let is_cargo = stem == "cargo" || format == ReportFormat::Cargo;
        let mut variables = vec![
            ("PATH", joined),
            ("HOME", home.into()),
            ("TMPDIR", temporary.into()),
            ("LANG", "C.UTF-8".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            // The order of a set is the same in every run: what depends on it is right or wrong, and not now and then.
            ("PYTHONHASHSEED", "0".into()),
        ];
        let own_home = env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from);
        if let Some(base) = own_home.as_ref().map(|home| home.join(".local")).filter(|base| base.join("lib").is_dir()) {
            // pytest may be installed for the user alone, and Python looks for that below HOME.
            variables.push(("PYTHONUSERBASE", base.into()));
        }
        if is_cargo {
            // rustup's and cargo's own folders, where the toolchain and the downloaded packages are.
            for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
                let value = env::var_os(name).or_else(|| own_home.as_ref().map(|home| home.join(folder).into()));
                variables.extend(value.map(|value| (name, value)));
            }
        }
        if cfg!(windows) {
            let kept = ["SystemRoot", "PATHEXT"].into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
            variables.extend(kept.chain([("USERPROFILE", home.into()), ("TEMP", temporary.into())]));
        }
        #[cfg(target_os = "linux")]
        let tools = crate::confinement::tools(&found, &variables);
        #[cfg(not(target_os = "linux"))]
        let tools = Vec::new();
        Ok(Self { program: found, tools, asked_for: program.to_owned(), is_cargo, variables, path })
    }

    /// The same environment for another program that starts this one.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when it is not found.
    pub(super) fn through(self, program: &str) -> Result<Self, SandboxError> {
        let found = resolve(program, &self.path).ok_or_else(|| {
            SandboxError::Unavailable(format!("the program {program} is not found: {}", how_to_get(program)))
        })?;
        Ok(Self { program: found, ..self })
    }

    /// Whether the command itself could find this program.
    pub(super) fn has(&self, program: &str) -> bool {
        resolve(program, &self.path).is_some()
    }
}

/// Finds a bare name in the folders, or takes an absolute path that is there. A relative path is never taken: it would
/// lead into the work.
fn resolve(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.is_absolute() {
        return is_program(path).then(|| path.to_path_buf());
    }
    if path.components().count() != 1 || matches!(program, "." | "..") {
        return None;
    }
    let names = [program.to_owned(), format!("{program}{}", env::consts::EXE_SUFFIX)];
    folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|path| is_program(path))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn how_to_get(program: &str) -> &'static str {
    match program {
        "python3" | "python" => "install Python 3, then `python3 -m pip install pytest`",
        "pytest" => "python3 -m pip install pytest",
        "cargo" | "rustc" => "install Rust with rustup",
        "node" | "npm" | "npx" => "install Node.js",
        _ if program.contains('/') => "give a program's name, or an absolute path to a file that may be executed",
        _ => "install it, or correct the test command",
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn find(program: &str, format: ReportFormat) -> Result<Environment, SandboxError> {
        Environment::find(program, format, Path::new("/h"), Path::new("/t"))
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        let error = find("no-such-program-at-all", ReportFormat::ExitCode).unwrap_err().to_string();
        assert!(error.contains("no-such-program-at-all") && error.contains("install"), "{error}");
    }

    #[test]
    fn a_program_is_never_taken_from_the_work() {
        for program in ["./sh", "bin/sh", "../bin/sh", "", ".", "..", "/etc/passwd", "/no/such"] {
            assert!(matches!(find(program, ReportFormat::ExitCode), Err(SandboxError::Unavailable(_))), "{program}");
        }
    }

    #[test]
    fn only_cargo_is_told_where_cargo_keeps_its_things() {
        let names =
            |format| find("sh", format).unwrap().variables.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert!(!names(ReportFormat::Junit).contains(&"CARGO_HOME"));
        assert!(names(ReportFormat::Cargo).contains(&"CARGO_HOME"));
    }
}
