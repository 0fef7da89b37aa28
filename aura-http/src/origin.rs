//! Keeps other web pages out: a request must name this machine in `Host`, and come from it in `Origin`.
//!
//! A browser lets any page send requests to loopback. A foreign `Origin` shows such a page; a foreign `Host` shows a
//! page whose own name was pointed at 127.0.0.1 (DNS rebinding). Both get 403, the live stream included.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{Problem, router::App};

/// Refuses foreign requests, and tells browsers not to guess, leak or embed what is answered.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(ToString::to_string);
    let mut response = match check(request.headers(), authority.as_deref(), &app.options.allowed_hosts) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(headers: &HeaderMap, authority: Option<&str>, allowed: &[String]) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => authority,
        (Some(_), Some(_)) => None,
    };
    let Some(host) = host.map(str::to_ascii_lowercase).filter(|host| is_allowed(host, allowed)) else {
        return refuse(
            "the Host header must name this machine (127.0.0.1 or localhost), or a host the operator allowed",
        );
    };
    let foreign = "requests from pages of another origin are not taken: open the orchestra's own page";
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if from != Some(host.as_str()) {
            return refuse(foreign);
        }
    } else if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
        && headers.get("sec-fetch-mode").is_none_or(|mode| mode != "navigate")
    {
        return refuse(foreign);
    }
    Ok(())
}

fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let name = without_port(host);
    let is_loopback = name == "localhost"
        || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback || allowed.iter().any(|entry| entry.eq_ignore_ascii_case(host) || entry.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(host: &str, origin: Option<&str>, allowed: &[String]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, None, allowed).is_ok()
    }

    #[test]
    fn loopback_hosts_pass_and_others_do_not() {
        for host in ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "127.8.8.8", "[::1]:80", "[::1]"] {
            assert!(passes(host, None, &[]), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "", "[::2]"]
        {
            assert!(!passes(host, None, &[]), "{host}");
        }
    }

    #[test]
    fn an_allowed_host_passes_with_its_own_origin() {
        let allowed = ["aura.example".to_owned()];
        assert!(passes("aura.example:8443", Some("https://aura.example:8443"), &allowed));
        assert!(!passes("aura.example.evil", None, &allowed));
    }

    #[test]
    fn a_foreign_origin_is_refused() {
        assert!(passes("localhost:8000", Some("http://localhost:8000"), &[]));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:8000", "", "file://"] {
            assert!(!passes("localhost:8000", Some(origin), &[]), "{origin}");
        }
    }

    #[test]
    fn a_request_without_or_with_two_hosts_is_refused() {
        assert!(check(&HeaderMap::new(), None, &[]).is_err());
        assert!(check(&HeaderMap::new(), Some("localhost"), &[]).is_ok());
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        two.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(check(&two, None, &[]).is_err());
    }

    #[test]
    fn a_cross_site_request_without_origin_is_refused_unless_somebody_follows_a_link() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        headers.insert("sec-fetch-mode", HeaderValue::from_static("no-cors"));
        assert!(check(&headers, None, &[]).is_err());
        headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
        assert!(check(&headers, None, &[]).is_ok());
    }
}
