//! The real server as a child process, and a client for it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A running server that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    http: reqwest::Client,
}

/// The server's program, built by cargo before the tests run.
pub(crate) fn program() -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let target = test.ancestors().nth(2).expect("target/debug/deps/test");
    let program = target.join("examples").join(format!("server{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: cargo build --all-features --example server", program.display());
    program
}

impl Server {
    /// Starts a server on a free port with its data in `folder`, and waits until it listens.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", env::var_os("HOME").unwrap_or_default())
            .env("DATABASE_URL", format!("sqlite:{}", folder.join("aura.db").display()))
            .env("AURA_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("log"));
        let mut child = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let url = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if let Some(at) = line.find("http://") {
                        break line[at..].trim().to_owned();
                    }
                }
                _ => panic!("the server ended: {}", fs::read_to_string(folder.join("log")).unwrap_or_default()),
            }
        };
        // Goes on reading, so that the server never waits for its terminal.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, http: client() }
    }

    /// As if the power went: no signal that it could catch.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("it is dead");
    }

    /// Asks it to stop, as from the terminal, and waits until it has; answers with its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal("-INT");
        self.ended()
    }

    /// Sends a signal and does not wait for what comes of it.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    /// Waits until it has ended; answers with its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}{path}", self.url))).await.expect("the server answers")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.try_post(path, body).await.expect("the server answers")
    }

    /// `None` when the server did not answer.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        answer(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// The whole audit log, oldest first.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        let mut entries: Vec<Value> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry["seq"].as_i64().expect("a place"));
            let (_, page) = self.get(&format!("/audit?limit=1000&after={after}")).await;
            match page.as_array().expect("entries").as_slice() {
                [] => return entries,
                page => entries.extend_from_slice(page),
            }
        }
    }

    /// Asks again until `done` says so.
    pub(crate) async fn until(&self, path: &str, limit: Duration, done: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let (_, value) = self.get(path).await;
            if done(&value) {
                return value;
            }
            assert!(started.elapsed() < limit, "{path} did not get there within {limit:?}: {value}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already or not: nothing may outlive the test.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A client for this machine.
pub(crate) fn client() -> reqwest::Client {
    // reqwest wants to know a provider even where nothing is encrypted; the first of several tests installs it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("client")
}

async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
