//! A worker as a child process, and what its manager is asked about it.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::process::Server;

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A test of `add`, which the offline employee knows.
const TESTS: &str = "from solution import add\ndef test_add(): assert add(1, 2) == 3\n";

/// A running worker that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    name: String,
    child: Child,
    said: Mutex<Receiver<String>>,
    log: PathBuf,
}

/// The worker's program, built by cargo before the tests run.
pub(crate) fn program() -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let target = test.ancestors().nth(2).expect("target/debug/deps/test");
    let program = target.join("examples").join(format!("worker{}", env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing: cargo build --all-features --example worker", program.display());
    program
}

impl Worker {
    /// Starts an offline worker of this name for a manager; its log stands in `folder`.
    pub(crate) fn start(folder: &Path, url: &str, name: &str, settings: &[(&str, &str)]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let mut child = Command::new(program())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("MANAGER_URL", url)
            .env("MODEL_BACKEND", "offline")
            .env("WORKER_ID", name)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("log"))
            .spawn()
            .expect("the worker starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let (sender, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { name: name.to_owned(), child, said: Mutex::new(said), log }
    }

    /// Waits until it says a line with this in it; answers with the line.
    pub(crate) fn says(&self, words: &str) -> String {
        let (said, started) = (self.said.lock().expect("one test"), Instant::now());
        loop {
            match said.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("it never said {words:?}: {}", self.log()),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without saying {words:?}: {}", self.log()),
            }
        }
    }

    /// Waits until it has logged this.
    pub(crate) async fn logs(&self, words: &str) {
        let started = Instant::now();
        while !self.log().contains(words) {
            assert!(started.elapsed() < PATIENCE, "it never logged {words:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// As if the power went.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("it is dead");
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
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Ended already or not: nothing may outlive the test.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A manager that leaves all work to others.
pub(crate) fn manager(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("AURA_WORKERS", "0"), ("AURA_ALLOW_UNSANDBOXED", "1"), ("AURA_DRAIN", "0")];
    all.extend_from_slice(settings);
    Server::start(folder, &all)
}

/// Submits a PRD with tests; answers with its id and its one job's.
pub(crate) async fn submit(server: &Server) -> (String, String) {
    let suite = json!({ "files": [{ "path": "test_solution.py", "text": TESTS }],
                        "command": ["python3", "-m", "pytest", "-q", "test_solution.py"], "report": "exit_code", "timeout": 60 });
    let (status, prd) = server.post("/prds", &json!({ "prompt": "Write add(a, b)", "tests": suite })).await;
    assert_eq!(status, 201, "{prd}");
    let job = prd["jobs"][0].as_str().or_else(|| prd["jobs"][0]["id"].as_str()).expect("its one job");
    (prd["id"].as_str().expect("an id").to_owned(), job.to_owned())
}

/// Waits until a worker has the job, and knows that it has: the manager's answer may still be on its way to it.
pub(crate) async fn taken(server: &Server, job: &str, worker: &Worker) -> Value {
    let is_his = |job: &Value| job["status"] == "IN_PROGRESS" && job["worker_id"] == worker.name.as_str();
    let taken = server.until(&format!("/jobs/{job}"), PATIENCE, is_his).await;
    worker.logs("a job begins").await;
    taken
}

/// Waits until a job is validated.
pub(crate) async fn validated(server: &Server, job: &str) -> Value {
    server.until(&format!("/jobs/{job}"), PATIENCE, |job| job["status"] == "VALIDATED").await
}

/// The kinds of a job's events, oldest first.
pub(crate) async fn history(server: &Server, job: &str) -> Vec<String> {
    let (_, events) = server.get(&format!("/jobs/{job}/events")).await;
    let events = events.as_array().expect("events").iter();
    events.map(|event| event["event_type"].as_str().expect("a word").to_owned()).collect()
}
