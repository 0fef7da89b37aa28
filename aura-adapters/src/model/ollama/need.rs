//! How much memory a model will need, from what `/api/show` tells of it.

use aura_core::Mebibytes;
use serde_json::{Map, Value};

/// What stands beside weights and context on a GPU: buffers of the computation, and the driver's own. An allowance, generous for models
/// that fit a card of 11 GB; `/api/ps` tells what it really is once the model is loaded.
const BUFFERS: u64 = 512 << 20;
/// Bytes of one number in the context's cache: 16 bits.
const CACHE_NUMBER: u64 = 2;

/// Bytes for the weights (`file`, as they lie on the disk), the cache of `context` tokens, and buffers.
///
/// The cache holds a key and a value for each layer and token: `2 x layers x context x key-value heads x size of a head x 2 bytes`
/// (llama.cpp's layout without quantisation of the cache). Where the model does not tell its heads, the whole embedding counts, which is
/// too much for models with grouped queries, and never too little.
pub(super) fn estimate(file: u64, context: u64, info: &Map<String, Value>) -> u64 {
    let architecture = info.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| info.get(&format!("{architecture}.{name}")).and_then(Value::as_u64).filter(|n| *n > 0);
    let layers = number("block_count").unwrap_or(0);
    let embedding = number("embedding_length").unwrap_or(0);
    let heads = number("attention.head_count");
    let width = match (number("attention.head_count_kv"), heads) {
        (Some(kv), Some(heads)) => {
            let head = embedding / heads;
            let (key, value) =
                (number("attention.key_length").unwrap_or(head), number("attention.value_length").unwrap_or(head));
            kv.saturating_mul(key.saturating_add(value))
        }
        _ => embedding.saturating_mul(2),
    };
    let trained = number("context_length").unwrap_or(u64::MAX);
    let cache = [layers, context.min(trained), width, CACHE_NUMBER].into_iter().fold(1_u64, u64::saturating_mul);
    file.saturating_add(cache).saturating_add(BUFFERS)
}

/// Rounded up.
pub(super) const fn mebibytes(bytes: u64) -> Mebibytes {
    Mebibytes(bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_cache_of_a_7b_model_with_grouped_queries_is_what_llama_cpp_allocates() {
        // Qwen2.5 7B: 28 layers, 4 key-value heads of 128; 8192 tokens take 448 MiB in llama.cpp's own log.
        let qwen = info(json!({
            "general.architecture": "qwen2", "qwen2.block_count": 28, "qwen2.embedding_length": 3584,
            "qwen2.attention.head_count": 28, "qwen2.attention.head_count_kv": 4, "qwen2.context_length": 32768,
        }));
        assert_eq!(estimate(0, 8192, &qwen) - BUFFERS, 448 << 20);
        assert_eq!(estimate(0, 1 << 40, &qwen), estimate(0, 32768, &qwen), "no more than it was trained for");
    }

    #[test]
    fn a_model_that_tells_nothing_needs_at_least_its_file() {
        assert_eq!(estimate(1000, 4096, &Map::new()), 1000 + BUFFERS);
        assert_eq!(mebibytes((1 << 20) + 1), Mebibytes(2));
    }

    #[test]
    fn numbers_that_make_no_sense_do_not_overflow() {
        let huge =
            info(json!({ "general.architecture": "x", "x.block_count": u64::MAX, "x.embedding_length": u64::MAX }));
        assert_eq!(estimate(u64::MAX, u64::MAX, &huge), u64::MAX);
    }
}
