//! Starts a private PostgreSQL for a script: prints its URL and process id, and ends it when standard input closes.
//!
//! `private-postgres [--durable] [--seasoned] [name=value …]`: the rest are settings. The server ends with this program, be it by
//! `kill -9`.

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    use std::io::{self, Read, Write};

    let mut builder = aura_testbed::PrivatePostgres::builder();
    for argument in std::env::args().skip(1) {
        builder = match argument.split_once('=') {
            Some((name, value)) => builder.setting(name, value),
            None if argument == "--durable" => builder.durable(),
            None if argument == "--seasoned" => builder.seasoned(),
            None => {
                return Err(io::Error::other(format!("{argument}: neither --durable, --seasoned nor name=value")));
            }
        };
    }
    let server = builder.start()?;
    writeln!(io::stdout(), "{}\n{}", server.url("postgres"), server.pid())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    server.stop()
}

#[cfg(not(unix))]
fn main() {}
