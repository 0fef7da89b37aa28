//! What vendors ask for their models' tokens.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use aura_core::Price;
use serde::Deserialize;

use crate::error::BuildError;

/// The prices that come with this crate.
const EMBEDDED: &str = include_str!("prices.json");

/// Prices by provider and model, with the day on which they were looked up. A model that is not in it has no known price, which is not
/// a price of 0.
///
/// # Examples
/// ```
/// use aura_adapters::PriceTable;
/// let table = PriceTable::from_json(
///     r#"{"as_of": "2026-11-28", "prices": {"openai": {"gpt-x": {"input": 0.15, "output": 0.6}}}}"#,
/// )?;
/// assert!(table.price("openai", "gpt-x").is_some());
/// assert!(table.price("openai", "gpt-x-2026-01-31").is_some()); // a dated name of the same model
/// assert!(table.price("openai", "gpt-x-mini").is_none());
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    as_of: String,
    /// Where they were looked up.
    #[serde(default)]
    #[expect(dead_code, reason = "a file may say where its prices come from; nobody has to read it")]
    source: String,
    prices: BTreeMap<String, BTreeMap<String, Price>>,
}

impl PriceTable {
    /// The table that comes with this crate. Vendors change their prices: see [`as_of`](Self::as_of), and give a table of your own where
    /// money is at stake.
    ///
    /// # Panics
    /// Never: a test reads the table.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static TABLE: OnceLock<PriceTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::from_json(EMBEDDED).unwrap_or_else(|_| Self {
                as_of: String::new(),
                source: String::new(),
                prices: BTreeMap::new(),
            })
        })
    }

    /// Reads `{"as_of": "2026-11-28", "prices": {provider: {model: {"input", "cached_input", "output"}}}}`, in dollars for a million
    /// tokens.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] says where it cannot be read.
    pub fn from_json(text: &str) -> Result<Self, BuildError> {
        let table: Self = serde_json::from_str(text).map_err(|error| {
            let like =
                r#"{"as_of": "2026-11-28", "prices": {"openai": {"gpt-4o-mini": {"input": 0.15, "output": 0.6}}}}"#;
            BuildError::invalid("prices", format!("{error}: write them like {like}"))
        })?;
        if chrono::NaiveDate::parse_from_str(&table.as_of, "%Y-%m-%d").is_err() {
            return Err(BuildError::invalid("prices", "as_of must be the day they were looked up, as in 2026-11-28"));
        }
        Ok(table)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BuildError::Invalid`] names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, BuildError> {
        let path = path.as_ref();
        let refuse = |why: String| BuildError::invalid("prices", format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        Self::from_json(&text).map_err(|error| match error {
            BuildError::Invalid { reason, .. } => refuse(reason),
            other => other,
        })
    }

    /// The day on which the prices were looked up, as in `2026-11-28`.
    #[must_use]
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// The price of a model at a provider; a dated or numbered name of a model (`gpt-4o-mini-2024-07-18`, `gemini-2.0-flash-001`) has
    /// the price of the name without it.
    #[must_use]
    pub fn price(&self, provider: &str, model: &str) -> Option<Price> {
        let models = self.prices.get(provider)?;
        models.get(model).or_else(|| models.get(without_date(model)?)).copied()
    }
}

/// The name without numbers at its end; absent when there are none.
fn without_date(model: &str) -> Option<&str> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut name = model;
    while let Some((before, _)) = name.rsplit_once('-').filter(|(_, last)| is_number(last)) {
        name = before;
    }
    (name.len() < model.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_can_be_read_and_has_a_day() {
        let table = PriceTable::from_json(EMBEDDED).unwrap();
        assert_eq!(table.as_of(), PriceTable::embedded().as_of());
        assert!(PriceTable::embedded().price("openai", "gpt-4o-mini-2024-07-18").is_some());
        assert!(PriceTable::embedded().price("gemini", "gemini-2.0-flash-001").is_some());
        assert!(PriceTable::embedded().price("openai", "nobody-knows").is_none());
    }

    #[test]
    fn a_table_that_cannot_be_read_says_how_to_write_one() {
        for bad in [
            "",
            "{}",
            r#"{"as_of": "soon", "prices": {}}"#,
            r#"{"as_of":"2026-01-01","prices":{"p":{"m":{"input":-1,"output":0}}}}"#,
        ] {
            let error = PriceTable::from_json(bad).unwrap_err().to_string();
            assert!(error.starts_with("prices: ") && error.contains("2026-11-28"), "{error}");
        }
    }
}
