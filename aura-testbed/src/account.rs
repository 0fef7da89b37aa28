//! The account a server runs under: PostgreSQL refuses to be root.

use std::{
    fs, io,
    os::unix::{fs as unix_fs, process::CommandExt},
    path::Path,
    process::Command,
};

/// An unprivileged user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// The user `postgres`, or `nobody` where there is none.
    pub(crate) fn unprivileged() -> io::Result<Self> {
        let known = fs::read_to_string("/etc/passwd")?;
        Self::named("postgres", &known).or_else(|| Self::named("nobody", &known)).ok_or_else(|| {
            io::Error::other("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
        })
    }

    fn named(name: &str, passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let (user, group) = (fields.nth(1)?, fields.next()?);
            found.then_some(Self { user: user.parse().ok()?, group: group.parse().ok()? })
        })
    }

    /// Gives a file or folder to this account.
    pub(crate) fn takes(self, path: &Path) -> io::Result<()> {
        unix_fs::chown(path, Some(self.user), Some(self.group))
    }

    /// Lets the command run under this account.
    pub(crate) fn runs(self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:,,,:/:/bin/bash\n";
        assert_eq!(Account::named("postgres", passwd), Some(Account { user: 101, group: 104 }));
        assert_eq!(Account::named("nobody", passwd), None);
    }
}
