//! Opens the budget's books at what the store knows was spent before this process started.

use std::collections::HashMap;

use aura_orchestra::{adapters::Amount, core::ModelId, prelude::*};
use chrono::{DateTime, NaiveTime, Utc};

/// What an attempt whose usage is not known is entered with: the longest answer that [`Budget`](aura_orchestra::adapters::Budget)
/// lets through where a request does not say, and as much read.
const UNKNOWN: u64 = 8192;

/// Enters today's spending, and what each project spent on earlier days. Attempts that may have been billed and whose usage is not
/// known are entered with [`UNKNOWN`] tokens read and written; where the model has no price, they are told of instead.
pub(crate) async fn open(ledger: &Ledger, store: &dyn Store) -> Result<(), StoreError> {
    let models = store.models().await?;
    let prices = models.iter().filter_map(|model| Some((model.id, model.profile.price?))).collect();
    let midnight = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let today = by_project(&store.spending(midnight).await?, &prices);
    let all = store.spending(DateTime::UNIX_EPOCH).await?;
    for spent in all.iter().filter(|spent| spent.unpriced > 0 && !prices.contains_key(&spent.model_id)) {
        let model = models.iter().find(|model| model.id == spent.model_id).map(|model| &model.profile.name);
        tracing::warn!(
            model = model.map(tracing::field::display),
            project = %spent.project_id,
            attempts = spent.unpriced,
            "the budget does not count what these attempts cost: the model had no price"
        );
    }
    for (project, all) in by_project(&all, &prices) {
        let spent_today = today.get(&project).copied().unwrap_or(Amount::NONE);
        ledger.carry_today(project, spent_today);
        let money = all.money.saturating_sub(spent_today.money);
        ledger.carry_earlier(project, Amount::new(money, all.tokens.saturating_sub(spent_today.tokens)));
    }
    Ok(())
}

fn by_project(spending: &[Spending], prices: &HashMap<ModelId, Price>) -> HashMap<ProjectId, Amount> {
    let mut sums: HashMap<ProjectId, Amount> = HashMap::new();
    for spent in spending {
        let sum = sums.entry(spent.project_id).or_insert(Amount::NONE);
        *sum = *sum + known(spent) + unknown(spent, prices.get(&spent.model_id));
    }
    sums
}

fn known(spent: &Spending) -> Amount {
    Amount::new(spent.cost, spent.input_tokens.saturating_add(spent.output_tokens))
}

fn unknown(spent: &Spending, price: Option<&Price>) -> Amount {
    let tokens = |attempts: u64| attempts.saturating_mul(UNKNOWN);
    let usage = |attempts| Usage {
        input_tokens: Some(tokens(attempts)),
        output_tokens: Some(tokens(attempts)),
        ..Usage::default()
    };
    let money = price.and_then(|price| price.cost(&usage(spent.unpriced)));
    Amount::new(money.unwrap_or_default(), tokens(spent.uncounted).saturating_mul(2))
}
