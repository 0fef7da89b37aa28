//! An error for a terminal.

/// An error with its causes, in one line. A cause that was said already is not said again.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    let text = causes.fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    });
    text.replace(['\n', '\r'], " ")
}
