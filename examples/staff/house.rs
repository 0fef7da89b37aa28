//! The rules of the house: prompts, prices and budgets, read from the environment; the server and the worker read them in the same way.

use std::{env, sync::Arc};

use aura_orchestra::prelude::*;

/// What every employee gets, and keeps to.
#[derive(Debug, Clone, Default)]
pub(crate) struct House {
    /// System prompts by role, where others than the built-in ones are wanted.
    pub(crate) prompts: Option<Arc<PromptBook>>,
    /// Prices, where others than the built-in ones are known.
    prices: Option<Arc<PriceTable>>,
    /// What may be spent; shared by all employees of this process.
    pub(crate) ledger: Option<Ledger>,
}

impl House {
    /// Reads `AURA_PROMPTS` (a folder), `AURA_PRICES` (a file), `AURA_BUDGET_USD_PER_RUN`, `…_PER_DAY`, `…_PER_PROJECT` and
    /// `AURA_BUDGET_TOKENS_PER_DAY`. An error is one line that names the variable.
    pub(crate) fn read() -> Result<Self, String> {
        let prompts = read("AURA_PROMPTS", |path| PromptBook::from_folder(path))?.map(Arc::new);
        let prices = read("AURA_PRICES", |path| PriceTable::read(path))?.map(Arc::new);
        let cap = |money: &str, tokens: Option<&str>| -> Result<Cap, String> {
            let cap = usd(money)?.map_or(Cap::NONE, Cap::money);
            Ok(match tokens.map(count).transpose()?.flatten() {
                Some(tokens) => cap.and_tokens(tokens),
                None => cap,
            })
        };
        let run = cap("AURA_BUDGET_USD_PER_RUN", None)?;
        let day = cap("AURA_BUDGET_USD_PER_DAY", Some("AURA_BUDGET_TOKENS_PER_DAY"))?;
        let project = cap("AURA_BUDGET_USD_PER_PROJECT", None)?;
        let is_limited = [run, day, project].iter().any(|cap| *cap != Cap::NONE);
        let ledger = is_limited.then(|| Ledger::new().per_run(run).per_day(day).per_project(project));
        Ok(Self { prompts, prices, ledger })
    }

    /// The price of a model, where the house has a table that knows it.
    pub(crate) fn price(&self, provider: &str, model: &str) -> Option<Price> {
        self.prices.as_ref().and_then(|prices| prices.price(provider, model))
    }

    /// Puts the usual layers around an adapter, and the budget inside of them, so that each try is reckoned.
    pub(crate) fn layered(&self, adapter: impl ModelAdapter + 'static) -> Arc<dyn ModelAdapter> {
        match &self.ledger {
            Some(ledger) => Arc::new(with_default_layers(adapter.budget(ledger.clone()))),
            None => Arc::new(with_default_layers(adapter)),
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn read<T>(
    name: &str,
    reader: impl Fn(&str) -> Result<T, aura_orchestra::adapters::BuildError>,
) -> Result<Option<T>, String> {
    text(name).map(|path| reader(&path)).transpose().map_err(|error| format!("{name}: {error}"))
}

fn usd(name: &str) -> Result<Option<Usd>, String> {
    let Some(value) = text(name) else { return Ok(None) };
    let amount = value.parse().ok().and_then(|dollars| Usd::dollars(dollars).ok());
    amount.map(Some).ok_or_else(|| format!("{name} is {value:?}: it must be an amount of dollars, as in {name}=2.50"))
}

fn count(name: &str) -> Result<Option<u64>, String> {
    let Some(value) = text(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| format!("{name} is {value:?}: it must be a number, as in {name}=1000000"))
}
