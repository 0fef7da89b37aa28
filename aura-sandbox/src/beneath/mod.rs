//! A folder handle that reads and writes beneath itself only, and follows no link.
//!
//! On Unix every component of a path is opened relative to the handle of the one before it with `O_NOFOLLOW`, and a
//! [`WorkPath`](crate::path::WorkPath) holds no `..`: what the kernel opens lies beneath the handle even while somebody
//! swaps folders for links. Elsewhere each component is looked at before it is used, which leaves a gap for a process
//! that runs at the same moment.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::io;

#[cfg(not(unix))]
pub(crate) use portable::Folder;
#[cfg(unix)]
pub(crate) use unix::Folder;

/// Folders nested deeper are not walked into: no work may make them, only code under test can.
const MAX_WALK_DEPTH: usize = 64;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Missing,
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a device, a pipe, or a path that goes through something else than folders.
    Other,
}

/// One regular file met on a walk.
pub(crate) struct Entry<'a> {
    /// Its path with `/` between the components, as the file system spells it.
    pub(crate) path: &'a [u8],
    /// Its length in bytes when it was looked at.
    pub(crate) length: u64,
    reader: &'a dyn Fn(u64) -> io::Result<Vec<u8>>,
}

impl Entry<'_> {
    /// Reads at most `max` bytes of it.
    pub(crate) fn read(&self, max: u64) -> io::Result<Vec<u8>> {
        (self.reader)(max)
    }
}

fn too_deep() -> io::Error {
    io::Error::other(format!("folders are nested more than {MAX_WALK_DEPTH} deep"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::path::WorkPath;

    fn path(text: &str) -> WorkPath {
        WorkPath::parse(text).unwrap()
    }

    fn fixture() -> (tempfile::TempDir, Folder) {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("inner")).unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = Folder::open(&outside.path().join("inner")).unwrap();
        (outside, folder)
    }

    #[test]
    fn what_is_written_can_be_read_replaced_and_removed() {
        let (_outside, folder) = fixture();
        assert_eq!(folder.kind(&path("a/b/c")).unwrap(), Kind::Missing);
        folder.write(&path("a/b/c"), b"one").unwrap();
        folder.write(&path("a/b/c"), b"2").unwrap();
        assert_eq!(folder.read(&path("a/b/c"), 10).unwrap(), b"2");
        assert_eq!(folder.kind(&path("a/b")).unwrap(), Kind::Folder);
        assert_eq!(folder.kind(&path("a/b/c/d")).unwrap(), Kind::Other);
        folder.remove(&path("a/b/c")).unwrap();
        assert_eq!(folder.kind(&path("a/b/c")).unwrap(), Kind::Missing);
    }

    #[test]
    fn a_file_larger_than_the_bound_is_not_read() {
        let (_outside, folder) = fixture();
        folder.write(&path("x"), b"12345").unwrap();
        assert_eq!(folder.read(&path("x"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(folder.read(&path("x"), 5).unwrap(), b"12345");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let (outside, folder) = fixture();
        let inner = outside.path().join("inner");
        std::os::unix::fs::symlink("../secret", inner.join("file")).unwrap();
        std::os::unix::fs::symlink("..", inner.join("dir")).unwrap();
        assert!(folder.read(&path("file"), 99).is_err());
        assert!(folder.read(&path("dir/secret"), 99).is_err());
        assert!(folder.write(&path("dir/new"), b"x").is_err());
        assert_eq!(folder.kind(&path("file")).unwrap(), Kind::Other);
        assert_eq!(folder.kind(&path("dir/secret")).unwrap(), Kind::Other);
        // The link itself is replaced; what it led to stays.
        folder.write(&path("file"), b"mine").unwrap();
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
        assert!(!outside.path().join("new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_hard_link_to_the_outside_is_cut_rather_than_written_through() {
        let (outside, folder) = fixture();
        fs::hard_link(outside.path().join("secret"), outside.path().join("inner/file")).unwrap();
        folder.write(&path("file"), b"mine").unwrap();
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    }

    #[cfg(unix)]
    #[test]
    fn whatever_stands_in_the_way_gives_way_to_a_forced_write() {
        let (outside, folder) = fixture();
        let inner = outside.path().join("inner");
        fs::create_dir_all(inner.join("test.py/deep/er")).unwrap();
        std::os::unix::fs::symlink("..", inner.join("tests")).unwrap();
        folder.write_over(&path("test.py"), b"a").unwrap();
        folder.write_over(&path("tests/x"), b"b").unwrap();
        assert_eq!(fs::read(inner.join("test.py")).unwrap(), b"a");
        assert_eq!(fs::read(inner.join("tests/x")).unwrap(), b"b");
        assert!(!outside.path().join("x").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_tree_of_any_depth_is_removed_and_links_in_it_are_not_followed() {
        let (outside, folder) = fixture();
        let inner = outside.path().join("inner");
        let mut deep = folder;
        for _ in 0..3_000 {
            deep = deep.make_child("d").unwrap();
        }
        drop(deep);
        fs::create_dir(inner.join("shut")).unwrap();
        std::os::unix::fs::symlink("../..", inner.join("shut/out")).unwrap();
        let parent = Folder::open(outside.path()).unwrap();
        parent.remove_tree("inner").unwrap();
        assert!(!inner.exists());
        assert!(outside.path().join("secret").exists());
    }

    #[test]
    fn a_walk_meets_every_file_once() {
        let (_outside, folder) = fixture();
        for name in ["b", "a/x", "a/y", "skip/z"] {
            folder.write(&path(name), name.as_bytes()).unwrap();
        }
        let mut met = Vec::new();
        let skip = |_: usize, name: &[u8]| name == b"skip";
        folder
            .walk(&skip, &mut |entry| {
                met.push((String::from_utf8_lossy(entry.path).into_owned(), entry.read(9)?));
                assert_eq!(entry.length, entry.path.len() as u64);
                Ok(())
            })
            .unwrap();
        met.sort();
        assert_eq!(met.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a/x", "a/y", "b"]);
        assert!(met.iter().all(|(name, text)| name.as_bytes() == text));
    }
}
