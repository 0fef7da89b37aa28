//! Mounts the orchestra's HTTP door under a path of an application that has routes of its own.
//!
//! Runs for a moment, asks itself a few questions and ends; with `AURA_STAY=1` it stays, and the page is at `/aura`.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;

use aura_orchestra::{http, prelude::*};
use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let orchestra = aura_orchestra::builder()
        .store(MemoryStore::new())
        .employ(OfflineAdapter::builder("employee_careful").build()?)
        .employ(OfflineAdapter::builder("employee_sloppy").skill(Skill::Sloppy).build()?)
        .start()
        .await?;

    // Your application, and the orchestra as one part of it.
    let notices = vec!["The two employees are offline ones: their answers are part of this program.".to_owned()];
    let options = http::HttpOptions { notices, ..http::HttpOptions::default() };
    let app = Router::new()
        .route("/", get(|| async { "my own application" }))
        .nest("/aura", http::router(orchestra.clone(), options));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("my application is at http://{address}/, the orchestra's page at http://{address}/aura");

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(http::serve(listener, app, async { drop(stopped.await) }));

    if std::env::var_os("AURA_STAY").is_some_and(|value| value == "1") {
        tokio::signal::ctrl_c().await?;
    } else {
        for (path, expected) in
            [("/", "my own application"), ("/aura", "<base href=\"/aura/\">"), ("/aura/models", "employee_careful")]
        {
            let answer = ask(&address.to_string(), path).await?;
            if !answer.contains(expected) {
                return Err(format!("GET {path} did not answer with {expected:?}: {answer}").into());
            }
            println!("GET {path:13} {}", answer.lines().next().unwrap_or_default());
        }
    }

    orchestra.stop().await;
    drop(stop);
    server.await??;
    Ok(())
}

async fn ask(host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
