//! The page, its script and its style: three files in the binary, no request to anywhere else.

use axum::{
    extract::OriginalUri,
    http::header,
    response::{IntoResponse, Response},
};

const PAGE: &str = include_str!("../assets/index.html");
const SCRIPT: &str = include_str!("../assets/app.js");
const STYLE: &str = include_str!("../assets/style.css");

/// Nothing but this origin's own files and calls: whatever a model wrote, it cannot run or load anything here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// The page. Its links are relative to where the router is mounted, with or without a slash at the end.
pub(crate) async fn page(OriginalUri(uri): OriginalUri) -> Response {
    let html = PAGE.replacen("{{base}}", &base(uri.path()), 1);
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, html).into_response()
}

/// The page's script.
pub(crate) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// The page's style.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// The path that relative links start from. A path from outside goes into an attribute, so only plain characters stay.
fn base(path: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "/-._~%".contains(*c);
    let parts = path.split('/').filter(|part| !part.is_empty());
    let path: String = parts.flat_map(|part| ["/", part]).collect();
    format!("{}/", path.chars().filter(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_start_from_where_the_router_is_mounted() {
        assert_eq!(base("/"), "/");
        assert_eq!(base("/aura"), "/aura/");
        assert_eq!(base("/aura/"), "/aura/");
        assert_eq!(base("//evil.example/"), "/evil.example/");
        assert_eq!(base("/a\"><script>"), "/ascript/");
    }

    #[test]
    fn the_page_holds_no_inline_script_or_style_and_no_outside_address() {
        for forbidden in ["<script>", "<style", " style=", "onclick", "onload", "http://", "https://"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"]
        {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        assert_eq!(PAGE.matches("{{base}}").count(), 1);
    }
}
