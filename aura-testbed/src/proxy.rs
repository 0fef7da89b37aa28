//! A TCP proxy in front of a private PostgreSQL that does what networks do, and worse.

use std::{
    io::{self, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::postgres::PrivatePostgres;

/// About so many messages a server sends for each commit.
const MESSAGES_OF_A_COMMIT: u64 = 20;

/// A proxy that knows where PostgreSQL's messages begin and end; it takes no new connection once it is dropped.
///
/// It passes everything on until it is told otherwise; what it is told holds for the connections that are made from then on, and
/// [`drop_notifications`](Self::drop_notifications) for all.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The server's socket.
    server: PathBuf,
    is_over: AtomicBool,
    drops_notifications: AtomicBool,
    /// Whether the next row that the server sends is lost with its connection.
    loses_a_row: AtomicBool,
    /// About how many messages pass before a connection is cut; 0 for ever.
    cut_after: AtomicU64,
    /// Where the chance of the next connection comes from.
    seed: AtomicU64,
    cuts: AtomicU64,
    cut_commits: AtomicU64,
    dropped: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of this machine, for `server`.
    ///
    /// # Errors
    ///
    /// When there is no port to listen on.
    pub fn in_front_of(server: &PrivatePostgres) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { server: server.socket_folder().join(".s.PGSQL.5432"), ..Shared::default() });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of_thread.is_over.load(Ordering::Acquire) {
                    return;
                }
                // A client that the server does not take sees its connection closed.
                let _ = serve(client, &of_thread);
            }
        });
        Ok(Self { port, shared })
    }

    /// Where to reach a database through the proxy, by its URL at the server itself.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let named = direct.split("localhost/").nth(1).and_then(|rest| rest.split('?').next());
        format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", self.port, named.unwrap_or("postgres"))
    }

    /// Loses every notification on its way to who listens.
    pub fn drop_notifications(&self) {
        self.shared.drops_notifications.store(true, Ordering::Release);
    }

    /// Loses the next row that the server sends, and cuts its connection. A server sends a short answer when all is done: a statement
    /// that is a transaction of its own is committed by then.
    pub fn lose_the_next_row(&self) {
        self.shared.loses_a_row.store(true, Ordering::Release);
    }

    /// Cuts each connection after about `messages` of them, in the middle of a request, of an answer, or of the answer that says
    /// that a transaction was committed, by chance that follows from `seed`. With 0 connections live for ever.
    pub fn cut_after(&self, messages: u64, seed: u64) {
        self.shared.seed.store(seed, Ordering::Release);
        self.shared.cut_after.store(messages, Ordering::Release);
    }

    /// How many connections were cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Acquire)
    }

    /// How many of them in the answer that says that a transaction was committed.
    #[must_use]
    pub fn cut_commits(&self) -> u64 {
        self.shared.cut_commits.load(Ordering::Acquire)
    }

    /// How many notifications were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the thread that listens; a connection that is made at the same time does as well.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Passes messages between a client and the server, both ways, until one of them ends or the connection is cut.
fn serve(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(&shared.server)?;
    let end = Cut::by_chance(shared);
    let (requests, answers) = match end {
        Some(Cut { of: Victim::Request, .. }) => (end, None),
        _ => (None, end),
    };
    for (from_client, cut) in [(true, requests), (false, answers)] {
        let (client, server, shared) = (client.try_clone()?, server.try_clone()?, Arc::clone(shared));
        thread::spawn(move || {
            // Either way the connection is over, at both ends.
            let _ = match from_client {
                true => pass(&client, &server, Greeting::First, cut, &shared),
                false => pass(&server, &client, Greeting::None, cut, &shared),
            };
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

/// Whether the first message is the client's greeting, which does not say its kind.
#[derive(Clone, Copy, PartialEq)]
enum Greeting {
    First,
    None,
}

/// Which message a connection is cut in.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Request,
    Answer,
    Commit,
}

#[derive(Clone, Copy)]
struct Cut {
    of: Victim,
    /// How many of them pass before.
    after: u64,
}

impl Cut {
    fn by_chance(shared: &Shared) -> Option<Self> {
        let messages = shared.cut_after.load(Ordering::Acquire);
        if messages == 0 {
            return None;
        }
        let chance = mixed(shared.seed.fetch_add(1, Ordering::AcqRel));
        let after = (chance >> 8) % (2 * messages);
        Some(match chance % 4 {
            0 => Self { of: Victim::Request, after },
            1 => Self { of: Victim::Answer, after },
            _ => Self { of: Victim::Commit, after: after / MESSAGES_OF_A_COMMIT },
        })
    }
}

/// The end of SplitMix64: numbers in a row become numbers all over.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Passes messages one way: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
fn pass<R: Read, W: Write>(
    from: R,
    mut to: W,
    greeting: Greeting,
    mut cut: Option<Cut>,
    shared: &Shared,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut is_greeting = greeting == Greeting::First;
    let is_request = is_greeting;
    loop {
        let message = read_message(&mut from, is_greeting)?;
        let Some(kind) = message.first().copied() else { return Ok(()) };
        if !is_request && kind == b'A' && shared.drops_notifications.load(Ordering::Acquire) {
            shared.dropped.fetch_add(1, Ordering::AcqRel);
            continue;
        }
        if !is_request && kind == b'D' && shared.loses_a_row.swap(false, Ordering::AcqRel) {
            shared.cuts.fetch_add(1, Ordering::AcqRel);
            return Ok(());
        }
        let is_commit = !is_request && kind == b'C' && message.get(5..) == Some(b"COMMIT\0");
        match &mut cut {
            Some(cut) if cut.of != Victim::Commit || is_commit => {
                if cut.after == 0 {
                    shared.cuts.fetch_add(1, Ordering::AcqRel);
                    shared.cut_commits.fetch_add(u64::from(is_commit), Ordering::AcqRel);
                    return to.write_all(message.get(..message.len() / 2).unwrap_or_default());
                }
                cut.after -= 1;
            }
            _ => {}
        }
        to.write_all(&message)?;
        is_greeting = false;
    }
}

/// A whole message with its head; empty at the end.
fn read_message(from: &mut impl Read, is_greeting: bool) -> io::Result<Vec<u8>> {
    let head = if is_greeting { 4 } else { 5 };
    let mut message = Vec::new();
    from.by_ref().take(head).read_to_end(&mut message)?;
    let Some(length) = message.last_chunk::<4>() else { return Ok(Vec::new()) };
    let body = u64::from(u32::from_be_bytes(*length)).saturating_sub(4);
    from.by_ref().take(body).read_to_end(&mut message)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn passed(messages: &[Vec<u8>], cut: Option<Cut>, shared: &Shared) -> Vec<u8> {
        let mut out = Vec::new();
        pass(messages.concat().as_slice(), &mut out, Greeting::None, cut, shared).unwrap();
        out
    }

    #[test]
    fn a_greeting_and_messages_pass_as_they_are() {
        let greeting = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
        let all = [greeting, message(b'Q', b"SELECT 1\0"), message(b'X', b"")].concat();
        let mut out = Vec::new();
        pass(all.as_slice(), &mut out, Greeting::First, None, &Shared::default()).unwrap();
        assert_eq!(out, all);
    }

    #[test]
    fn notifications_are_dropped_and_nothing_else() {
        let shared = Shared::default();
        shared.drops_notifications.store(true, Ordering::Release);
        let (row, news) = (message(b'D', b"row"), message(b'A', b"news"));
        assert_eq!(passed(&[row.clone(), news, row.clone()], None, &shared), [row.clone(), row].concat());
        assert_eq!(shared.dropped.load(Ordering::Acquire), 1);
    }

    #[test]
    fn a_row_is_lost_with_all_that_follows_once() {
        let shared = Shared::default();
        shared.loses_a_row.store(true, Ordering::Release);
        let (described, row) = (message(b'T', b"columns"), message(b'D', b"row"));
        let answer = [described.clone(), row, described.clone()];
        assert_eq!(passed(&answer, None, &shared), described);
        assert_eq!(passed(&answer, None, &shared), answer.concat());
        assert_eq!(shared.cuts.load(Ordering::Acquire), 1);
    }

    #[test]
    fn the_answer_to_a_commit_is_cut_half_way() {
        let shared = Shared::default();
        let (row, commit) = (message(b'D', b"row"), message(b'C', b"COMMIT\0"));
        let cut = Some(Cut { of: Victim::Commit, after: 1 });
        let out = passed(&[commit.clone(), row.clone(), commit.clone(), row.clone()], cut, &shared);
        assert_eq!(out, [commit.as_slice(), &row, commit.get(..6).unwrap()].concat());
        assert_eq!((shared.cuts.load(Ordering::Acquire), shared.cut_commits.load(Ordering::Acquire)), (1, 1));
    }
}
