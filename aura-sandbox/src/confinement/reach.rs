//! What code under test may read of the host: the system's programs and the tools that its command needs.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// Folders of the system that hold programs and nobody's data.
const FOLDERS: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/etc/alternatives"];
/// Files that programs of the system need to start.
const FILES: &[&str] = &["/etc/ld.so.cache"];
/// What programs do without where it is missing, but not where it may not be read.
const OPTIONAL: &[&str] =
    &["/etc/ld.so.conf", "/etc/localtime", "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/perl"];
/// Hops of a chain of links that are followed.
const MOST_LINKS: usize = 16;

/// The folders of the system that are there.
pub(super) fn system_folders() -> impl Iterator<Item = &'static Path> {
    FOLDERS.iter().map(Path::new).filter(|path| path.exists())
}

/// The files of the system that are there.
pub(super) fn system_files() -> impl Iterator<Item = &'static Path> {
    FILES.iter().map(Path::new).filter(|path| path.exists())
}

/// What would rather be missing than shut, where that cannot be had.
pub(super) fn optional() -> impl Iterator<Item = &'static Path> {
    OPTIONAL.iter().map(Path::new).filter(|path| path.exists())
}

/// The folders outside the system's that a program needs: its own installation, followed through links, and what the
/// variables name. Never somebody's home as a whole, nor a folder above one.
pub(crate) fn tools(program: &Path, variables: &[(&'static str, OsString)]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut at = program.to_path_buf();
    for _ in 0..MOST_LINKS {
        installation(&at, &mut found);
        let Ok(next) = fs::read_link(&at) else { break };
        at = at.parent().map_or_else(|| next.clone(), |parent| tidy(&parent.join(&next)));
    }
    if let Ok(end) = program.canonicalize() {
        installation(&end, &mut found);
    }
    for (name, value) in variables {
        let folder = PathBuf::from(value);
        match *name {
            "RUSTUP_HOME" => found.push(folder),
            // The folder itself may hold a token for a registry.
            "CARGO_HOME" => found.extend(["bin", "registry", "git"].map(|inner| folder.join(inner))),
            "PYTHONUSERBASE" => found.extend(["bin", "lib"].map(|inner| folder.join(inner))),
            _ => {}
        }
    }
    found.retain(|path| path.exists() && !is_everything(path) && !lies_in_system(path));
    found.sort();
    found.dedup();
    let all = found.clone();
    found.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    found
}

/// The folder that a program was installed into: above its `bin`, unless that is shared with people's data.
fn installation(program: &Path, found: &mut Vec<PathBuf>) {
    let Some(folder) = program.parent() else { return };
    let is = |path: &Path, names: &[&str]| path.file_name().is_some_and(|name| names.iter().any(|one| name == *one));
    let above = folder.parent().filter(|_| is(folder, &["bin", "sbin", "shims"]));
    match above {
        Some(above) if is(above, &[".local"]) => found.extend(["bin", "lib"].map(|inner| above.join(inner))),
        Some(above) if is(above, &[".cargo"]) || above.join("credentials.toml").exists() => {
            found.push(folder.to_path_buf());
        }
        Some(above) if !is_everything(above) => found.push(above.to_path_buf()),
        _ => found.push(folder.to_path_buf()),
    }
}

/// The root, somebody's home, a folder above one, or one in which everybody keeps something.
fn is_everything(path: &Path) -> bool {
    let shared =
        ["/root", "/home", "/tmp", "/var", "/var/tmp", "/etc", "/opt", "/srv", "/mnt", "/media", "/run", "/proc"];
    let home = env::var_os("HOME").map(PathBuf::from);
    let home = home.iter().flat_map(|home| [Some(home.clone()), home.canonicalize().ok()]).flatten();
    let own = env::current_dir().ok();
    path.components().count() <= 1
        || shared.iter().any(|one| path == Path::new(one))
        || path.parent() == Some(Path::new("/home"))
        || home.chain(own).any(|place| place.starts_with(path))
}

fn lies_in_system(path: &Path) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Takes `..` out without asking the file system.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::CurDir => {}
            other => tidy.push(other),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_behind_links_brings_each_installation_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for inner in ["venv/bin", "python/bin"] {
            fs::create_dir_all(root.join(inner)).unwrap();
        }
        fs::write(root.join("python/bin/python3"), "").unwrap();
        symlink("../../python/bin/python3", root.join("venv/bin/python3")).unwrap();
        symlink("python3", root.join("venv/bin/python")).unwrap();
        assert_eq!(tools(&root.join("venv/bin/python"), &[]), [root.join("python"), root.join("venv")]);
    }

    #[test]
    fn a_home_is_never_shown_as_a_whole_nor_the_folder_of_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for inner in ["bin", "registry"] {
            fs::create_dir_all(root.join(".cargo").join(inner)).unwrap();
        }
        let program = root.join(".cargo/bin/cargo");
        fs::write(&program, "").unwrap();
        let variables = [("CARGO_HOME", root.join(".cargo").into_os_string())];
        assert_eq!(tools(&program, &variables), [root.join(".cargo/bin"), root.join(".cargo/registry")]);
        let home = PathBuf::from(env::var_os("HOME").unwrap());
        assert!(!tools(&home.join("bin/python3"), &[]).contains(&home));
        assert!(tools(Path::new("/usr/bin/env"), &[]).is_empty());
    }
}
