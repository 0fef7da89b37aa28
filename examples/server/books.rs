//! Opens the budget's books at what the store knows was spent before this process started.

use std::collections::HashMap;

use aura_orchestra::{adapters::Amount, prelude::*};
use chrono::{DateTime, NaiveTime, Utc};

/// Enters today's spending, and what each project spent on earlier days. Runs whose cost is not known count their tokens alone.
pub(crate) async fn open(ledger: &Ledger, store: &dyn Store) -> Result<(), StoreError> {
    let midnight = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let today = by_project(&store.spending(midnight).await?);
    for (project, all) in by_project(&store.spending(DateTime::UNIX_EPOCH).await?) {
        let spent_today = today.get(&project).copied().unwrap_or(Amount::NONE);
        ledger.carry_today(project, spent_today);
        let money = all.money.saturating_sub(spent_today.money);
        ledger.carry_earlier(project, Amount::new(money, all.tokens.saturating_sub(spent_today.tokens)));
    }
    Ok(())
}

fn by_project(spending: &[Spending]) -> HashMap<ProjectId, Amount> {
    let mut sums: HashMap<ProjectId, Amount> = HashMap::new();
    for spent in spending {
        let amount = Amount::new(spent.cost, spent.input_tokens.saturating_add(spent.output_tokens));
        let sum = sums.entry(spent.project_id).or_insert(Amount::NONE);
        *sum = *sum + amount;
    }
    sums
}
