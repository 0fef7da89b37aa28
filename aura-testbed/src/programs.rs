//! Where PostgreSQL's programs are on this machine.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Names the folder of the programs, ahead of every other place.
const VARIABLE: &str = "AURA_PG_BIN";

/// Where Debian keeps one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

const NEEDED: [&str; 3] = ["initdb", "postgres", "psql"];

/// A folder that holds `initdb`, `postgres` and `psql`.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Looks in `$AURA_PG_BIN`, or else in Debian's folders from the newest version down, then along `PATH`.
    pub(crate) fn find() -> io::Result<Self> {
        if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            let folder = PathBuf::from(named);
            return if is_complete(&folder) { Ok(Self { folder }) } else { Err(incomplete(&folder)) };
        }
        let path = env::var_os("PATH").unwrap_or_default();
        by_version(Path::new(DEBIAN))
            .into_iter()
            .chain(env::split_paths(&path))
            .find(|folder| is_complete(folder))
            .map(|folder| Self { folder })
            .ok_or_else(nowhere)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn is_complete(folder: &Path) -> bool {
    NEEDED.iter().all(|name| folder.join(name).is_file())
}

/// The `bin` folder of each version, newest first.
fn by_version(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn incomplete(folder: &Path) -> io::Error {
    let message = format!("{VARIABLE} is {}, which does not hold all of {}", folder.display(), NEEDED.join(", "));
    io::Error::new(io::ErrorKind::NotFound, message)
}

fn nowhere() -> io::Error {
    let message = format!(
        "no PostgreSQL server on this machine: install Debian's package postgresql, or set {VARIABLE} to the folder \
         that holds {} (looked in {DEBIAN}/*/bin and along PATH)",
        NEEDED.join(", ")
    );
    io::Error::new(io::ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "17", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found = by_version(root.path());
        let expected: Vec<_> = ["17/bin", "15/bin", "9/bin"].map(|name| root.path().join(name)).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_error_names_the_remedy() {
        let message = nowhere().to_string();
        assert!(message.contains("package postgresql") && message.contains("AURA_PG_BIN"), "{message}");
    }
}
