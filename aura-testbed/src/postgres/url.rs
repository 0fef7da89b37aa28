//! The URL of a database behind a Unix socket.

use std::{os::unix::ffi::OsStrExt, path::Path};

/// What may stand in a URL as it is: RFC 3986's unreserved characters, and the slash, which a query may hold.
const PLAIN: &[u8] = b"-._~/";

/// A form that libpq, sqlx and node-postgres read alike; encryption is off, since no network lies between.
pub(crate) fn of_socket(folder: &Path, database: &str) -> String {
    let database = encoded(database.as_bytes()).replace('/', "%2F");
    let folder = encoded(folder.as_os_str().as_bytes());
    format!("postgres://postgres@localhost/{database}?host={folder}&sslmode=disable")
}

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || PLAIN.contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_is_encoded() {
        let url = of_socket(Path::new("/tmp/a b"), "x/ü?");
        assert_eq!(url, "postgres://postgres@localhost/x%2F%C3%BC%3F?host=/tmp/a%20b&sslmode=disable");
    }
}
