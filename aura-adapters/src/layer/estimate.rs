//! What a call may use up at most, before it is made; and whether it was made.

use aura_core::{AdapterError, GenerateRequest};

/// Bytes that are counted as one token. Vendors tell of about 4 for English; code and other languages take fewer.
const BYTES_A_TOKEN: u64 = 3;
/// Tokens that the prompt book's own words, and the marks around the parts, are counted as.
const FRAME: u64 = 500;

/// Tokens that are read at most: the prompt, the context and the feedback, with what is put around them.
pub(super) fn input_tokens(request: &GenerateRequest) -> u64 {
    let files = |files: &[aura_core::SourceFile]| -> usize {
        files.iter().map(|file| file.path.len().saturating_add(file.text.len())).sum()
    };
    let mut bytes = request.prompt.len().saturating_add(files(&request.context));
    if let Some(feedback) = &request.feedback {
        let failed: usize = feedback.failed.iter().map(|case| case.id.len().saturating_add(case.message.len())).sum();
        let patches: usize = feedback.patches.iter().map(String::len).sum();
        let parts = [feedback.why.len(), feedback.output.len(), failed, patches, files(&feedback.work)];
        bytes = parts.into_iter().fold(bytes, usize::saturating_add);
    }
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_A_TOKEN).saturating_add(FRAME)
}

/// Whether the vendor was asked at all.
pub(super) const fn was_asked(error: &AdapterError) -> bool {
    !matches!(error, AdapterError::Shut { .. } | AdapterError::Setup(_))
}

#[cfg(test)]
mod tests {
    use aura_core::SourceFile;

    use super::*;

    #[test]
    fn whatever_the_model_is_told_counts() {
        let mut request = GenerateRequest::new("x".repeat(300));
        assert_eq!(input_tokens(&request), 600);
        request.context = vec![SourceFile::new("a.py", "y".repeat(296))];
        assert_eq!(input_tokens(&request), 700);
    }
}
