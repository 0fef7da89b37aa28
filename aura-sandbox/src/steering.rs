//! Files that steer tests, tools or builds: work that brings or changes one is refused as hostile.
//!
//! A model is asked for code, and code never needs these. Files of the suite itself need no entry: they are written
//! after the work and win. The user's own context files and suites may hold anything that is listed here.

use aura_core::SandboxError;

use crate::path::WorkPath;

/// What an entry of the table is held against. All are compared in lower case, since some file systems ignore case.
enum Rule {
    /// A file of this name, in any folder.
    Name(&'static str),
    /// A file whose name starts so, in any folder.
    Starts(&'static str),
    /// A file whose name ends so, in any folder.
    Ends(&'static str),
    /// Anything in a folder of this name, or a file of this name, at any depth.
    Folder(&'static str),
    /// A module of this name at any depth: `x.py`, `x.<anything>` that Python can import, or the folder `x`.
    Module(&'static str),
    /// A file of this name whose text can configure pytest.
    PytestIn(&'static str),
}

/// Every rule with what such a file would do.
const TABLE: &[(Rule, &str)] = &[
    (Rule::Name("pytest.ini"), "configures pytest"),
    (Rule::Name(".pytest.ini"), "configures pytest"),
    (Rule::Name("pytest.toml"), "configures pytest"),
    (Rule::Name(".pytest.toml"), "configures pytest"),
    (Rule::PytestIn("pyproject.toml"), "configures pytest"),
    (Rule::PytestIn("setup.cfg"), "configures pytest"),
    (Rule::PytestIn("tox.ini"), "configures pytest"),
    (Rule::Module("conftest"), "is run by pytest before the tests"),
    (Rule::Module("sitecustomize"), "is run by Python at its start"),
    (Rule::Module("usercustomize"), "is run by Python at its start"),
    (Rule::Ends(".pth"), "is run by Python at its start"),
    (Rule::Ends(".egg-link"), "changes what Python imports"),
    (Rule::Folder("__pycache__"), "stands in for compiled tests"),
    (Rule::Ends(".pyc"), "stands in for compiled tests"),
    (Rule::Name("pyvenv.cfg"), "changes what Python imports"),
    (Rule::Name(".python-version"), "chooses another Python"),
    (Rule::Module("pytest"), "stands in for the test tool"),
    (Rule::Module("_pytest"), "stands in for the test tool"),
    (Rule::Module("pluggy"), "stands in for a part of the test tool"),
    (Rule::Module("iniconfig"), "stands in for a part of the test tool"),
    (Rule::Module("unittest"), "stands in for the test tool"),
    (Rule::Module("doctest"), "stands in for the test tool"),
    (Rule::Ends(".dist-info"), "registers plug-ins of the test tool"),
    (Rule::Folder(".cargo"), "configures cargo"),
    (Rule::Name("build.rs"), "is run by cargo while it builds"),
    (Rule::Name("rust-toolchain"), "chooses another compiler"),
    (Rule::Name("rust-toolchain.toml"), "chooses another compiler"),
    (Rule::Starts(".mocharc."), "configures the test tool"),
    (Rule::Starts("jest.config."), "configures the test tool"),
    (Rule::Starts("vitest.config."), "configures the test tool"),
    (Rule::Name(".npmrc"), "configures npm"),
    (Rule::Folder("node_modules"), "stands in for packages"),
    (Rule::Folder(".github"), "configures continuous integration"),
    (Rule::Folder(".circleci"), "configures continuous integration"),
    (Rule::Folder(".ci"), "configures continuous integration"),
    (Rule::Name(".gitlab-ci.yml"), "configures continuous integration"),
    (Rule::Name(".travis.yml"), "configures continuous integration"),
    (Rule::Name("azure-pipelines.yml"), "configures continuous integration"),
    (Rule::Name("jenkinsfile"), "configures continuous integration"),
    (Rule::Name(".gitmodules"), "configures git"),
    (Rule::Name(".gitattributes"), "configures git"),
];

/// Refuses a path, and the text that it is to hold, when it steers the tests.
///
/// `text` is absent when the file is to be removed or read.
///
/// # Errors
/// [`SandboxError::Hostile`] says what the file would do.
pub(crate) fn check(path: &WorkPath, text: Option<&str>) -> Result<(), SandboxError> {
    let lower = path.as_str().to_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let hit = TABLE.iter().find(|(rule, _)| match rule {
        Rule::Name(fixed) => name == *fixed,
        Rule::Starts(start) => name.starts_with(start),
        Rule::Ends(end) => parts.iter().any(|part| part.ends_with(end)),
        Rule::Folder(folder) => parts.contains(folder),
        Rule::Module(module) => parts.iter().any(|part| is_module(part, module)),
        Rule::PytestIn(fixed) => name == *fixed && text.is_none_or(can_configure_pytest),
    });
    match hit {
        Some((_, what)) => Err(SandboxError::Hostile(format!("the work may not touch {path}: such a file {what}"))),
        None => Ok(()),
    }
}

/// Whether a test tool would collect this file as tests: by the names that pytest, cargo and JavaScript's tools look for.
pub(crate) fn is_test(path: &WorkPath) -> bool {
    let (parents, name) = path.split();
    let middle = |mark: &str| name.rsplit_once('.').is_some_and(|(stem, _)| stem.ends_with(mark));
    let python = name.ends_with(".py") && (name.starts_with("test_") || middle("_test"));
    let rust = name.ends_with(".rs") && matches!(parents.first(), Some(&("tests" | "benches" | "examples")));
    python || rust || middle(".test") || middle(".spec") || parents.contains(&"__tests__")
}

fn is_module(part: &str, module: &str) -> bool {
    part.strip_prefix(module).is_some_and(|rest| rest.is_empty() || is_importable(rest))
}

/// Whether what follows a module's name makes it a source, a byte code or a native module.
fn is_importable(rest: &str) -> bool {
    rest.starts_with('.') && [".py", ".pyc", ".pyo", ".pyw", ".so", ".pyd"].iter().any(|end| rest.ends_with(end))
}

/// Whether a configuration file names pytest; TOML can also spell the name with escapes.
pub(crate) fn can_configure_pytest(text: &str) -> bool {
    text.to_lowercase().contains("pytest") || text.contains("\\u") || text.contains("\\U") || text.contains("\\x")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, text: Option<&str>) -> bool {
        matches!(check(&WorkPath::parse(path).unwrap(), text), Err(SandboxError::Hostile(_)))
    }

    #[test]
    fn files_that_steer_tests_are_hostile_in_any_folder_and_case() {
        for path in [
            "conftest.py",
            "tests/conftest.py",
            "CONFTEST.py",
            "sitecustomize.py",
            "usercustomize/__init__.py",
            "x.pth",
            "pytest.ini",
            "pytest.py",
            "pytest/__init__.py",
            "_pytest.cpython-311-x86_64-linux-gnu.so",
            "build.rs",
            ".cargo/config.toml",
            ".cargo/config",
            ".github/workflows/ci.yml",
            "x.dist-info/entry_points.txt",
            "rust-toolchain.toml",
            ".python-version",
            "unittest.pyc",
            "__pycache__/test_solution.cpython-311.pyc",
        ] {
            assert!(refused(path, Some("")), "{path}");
        }
    }

    #[test]
    fn a_project_file_is_hostile_only_when_it_can_configure_pytest() {
        assert!(!refused("pyproject.toml", Some("[project]\nname = \"x\"\n")));
        assert!(refused("pyproject.toml", Some("[tool.pytest.ini_options]\naddopts = \"--deselect x\"\n")));
        assert!(refused("pyproject.toml", Some("[tool.\"\\u0070ytest\".ini_options]\n")));
        assert!(refused("setup.cfg", Some("[tool:pytest]\n")));
        assert!(refused("tox.ini", None));
    }

    #[test]
    fn ordinary_files_are_taken() {
        for path in ["solution.py", "src/lib.rs", "tests/test_a.py", "my_conftest.py", "pytest_notes.md", "builder.rs"]
        {
            assert!(!refused(path, Some("pytest")), "{path}");
        }
    }
}
