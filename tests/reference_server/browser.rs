//! Headless Chromium, driven through chromedriver by the WebDriver protocol.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::process::client;

/// One browser with one page.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
}

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const PATIENCE: Duration = Duration::from_secs(40);

impl Browser {
    /// Starts chromedriver on a free port and a browser with an empty profile in `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: apt-get install chromium chromium-driver, or run ./scripts/test");
        let mut lines = BufReader::new(driver.stdout.take().expect("stdout")).lines();
        let port = loop {
            let line = lines.next().expect("chromedriver says its port").expect("readable");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let http = client();
        let profile = format!("--user-data-dir={}", folder.join("browser").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--window-size=1280,1600",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "SEVERE" },
        } } });
        let base = format!("http://127.0.0.1:{port}/session");
        let answer: Value = http.post(&base).json(&wanted).send().await.expect("session").json().await.expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        Self { session: format!("{base}/{id}"), driver, http }
    }

    async fn call(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/{path}", self.session)).json(&body);
        let answer: Value = request.send().await.expect("chromedriver answers").json().await.expect("JSON");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{path} {body}: {value}");
        value
    }

    async fn find(&self, css: &str) -> String {
        let found = self.call("element", json!({ "using": "css selector", "value": css })).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    pub(crate) async fn open(&self, url: &str) {
        self.call("url", json!({ "url": url })).await;
    }

    /// Waits until the element's text holds `words`.
    pub(crate) async fn wait_for(&self, css: &str, words: &str) {
        let started = Instant::now();
        let script = "const e = document.querySelector(arguments[0]); return e ? e.innerText : null";
        loop {
            let text = self.call("execute/sync", json!({ "script": script, "args": [css] })).await;
            if text.as_str().is_some_and(|text| text.to_lowercase().contains(&words.to_lowercase())) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{css} never said {words:?}, but: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn write(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.call(&format!("element/{element}/clear"), json!({})).await;
        self.call(&format!("element/{element}/value"), json!({ "text": text })).await;
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.call(&format!("element/{element}/click"), json!({})).await;
    }

    /// Chooses an option of a select by its value.
    pub(crate) async fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value=\"{value}\"]")).await;
    }

    pub(crate) async fn title(&self) -> String {
        let title = self.call("execute/sync", json!({ "script": "return document.title", "args": [] })).await;
        title.as_str().expect("a title").to_owned()
    }

    /// The whole page as PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let answer: Value = self
            .http
            .get(format!("{}/screenshot", self.session))
            .send()
            .await
            .expect("screenshot")
            .json()
            .await
            .expect("JSON");
        decode(answer["value"].as_str().expect("base64"))
    }

    /// What the page's console complained about.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.call("se/log", json!({ "type": "browser" })).await;
        log.as_array().expect("a log").iter().map(|line| line["message"].to_string()).collect()
    }

    pub(crate) async fn stop(mut self) {
        let _closed = self.http.delete(&self.session).send().await;
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // When a test fails half-way, chromedriver takes its browser along.
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

/// Base64 as the WebDriver protocol sends it.
fn decode(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | u32::try_from(digit).expect("below 64");
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}
