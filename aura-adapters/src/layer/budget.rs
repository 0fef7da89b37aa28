//! Not spending more than was set aside.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use aura_core::{AdapterError, Gate, GenerateRequest, Generation, ModelAdapter, Price, Usage, Usd};

use super::{
    around::adapter_around_inner,
    ask::Ask,
    estimate,
    ledger::{Amount, Ledger},
};

/// Asks only while the [`Ledger`] has money and tokens left, however many calls there are at once.
///
/// Before a call it holds the worst that the call may spend: a third of the bytes of prompt, context and feedback as tokens read,
/// 500 for what is put around them, and `max_tokens` written, at the price of the profile. A request without `max_tokens` is sent
/// with [`max_tokens`](Self::max_tokens) of this layer, for without a bound there would be no worst.
///
/// After the call it is settled:
/// - An answer counts what the vendor counted; where the vendor counted nothing, the worst.
/// - An error that cannot have been billed counts nothing: the vendor was not reached, was busy, or refused. Every other error
///   counts the worst, and so does a call that is dropped.
///
/// A call that does not fit gets [`Shut`](AdapterError::Shut) by the gate `budget`, with the figures and the way out; until the next
/// day where the day is spent. What counts is within the caps as long as no call takes more than was held for it: of
/// text with fewer than 3 bytes a token, a vendor may read more than the estimate.
///
/// Its gate is shut while less is left of the day than the smallest call so far had to hold. What is left of a project shuts no
/// gate: another project may have some.
///
/// Put it inside of [`Retry`](crate::Retry), so that each try is held for, and around [`Cache`](crate::Cache), whose
/// replays use up nothing.
///
/// # Errors
/// [`Setup`](AdapterError::Setup) when the ledger limits money and the model's price is not known.
///
/// # Examples
/// ```
/// use aura_adapters::{Budget, Cap, Ledger, OfflineAdapter};
/// use aura_core::ModelAdapter;
/// let ledger = Ledger::new().per_day(Cap::tokens(1_000_000));
/// let model = Budget::new(OfflineAdapter::builder("employee").build()?, ledger.clone());
/// assert_eq!(model.gates()[0].state, "0 of 1000000 tokens spent today, 0 of them held for calls under way");
/// # Ok::<(), aura_adapters::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Budget<A> {
    inner: A,
    ledger: Ledger,
    max_tokens: u32,
    /// The least that any call so far had to hold: with less than that left, no call will pass.
    least_money: AtomicU64,
    least_tokens: AtomicU64,
}

impl<A: ModelAdapter> Budget<A> {
    /// Keeps calls to `inner` within the caps of these books.
    pub fn new(inner: A, ledger: Ledger) -> Self {
        let (least_money, least_tokens) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        Self { inner, ledger, max_tokens: 8192, least_money, least_tokens }
    }

    /// Most tokens wanted in an answer where the request does not say (default 8192).
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    async fn ask(&self, request: &GenerateRequest, ask: Ask) -> Result<Generation, AdapterError> {
        let mut request = Cow::Borrowed(request);
        let max_tokens = match request.max_tokens {
            Some(tokens) => tokens,
            None => *request.to_mut().max_tokens.insert(self.max_tokens),
        };
        let worst = self.worst(estimate::input_tokens(&request), max_tokens.into())?;
        self.least_money.fetch_min(worst.money.nanos(), Ordering::Relaxed);
        self.least_tokens.fetch_min(worst.tokens, Ordering::Relaxed);
        let hold = self.ledger.hold(request.project, worst)?;
        let answer = ask.of(&self.inner, &request).await;
        hold.settle(match &answer {
            Ok(generation) => self.actual(&generation.usage, worst),
            Err(error) if error.may_have_been_billed() => worst,
            Err(_) => Amount::NONE,
        });
        answer
    }

    fn worst(&self, input: u64, output: u64) -> Result<Amount, AdapterError> {
        let price = self.price()?;
        let usage = Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() };
        Ok(Amount::new(price.cost(&usage).unwrap_or(Usd::ZERO), input.saturating_add(output)))
    }

    fn actual(&self, usage: &Usage, worst: Amount) -> Amount {
        let tokens = usage.input_tokens.zip(usage.output_tokens).map(|(input, output)| input.saturating_add(output));
        let money = self.price().ok().and_then(|price| price.cost(usage));
        Amount::new(money.unwrap_or(worst.money), tokens.unwrap_or(worst.tokens))
    }

    /// The price; nothing where it is not known and no money is limited.
    fn price(&self) -> Result<Price, AdapterError> {
        match self.profile().price {
            Some(price) => Ok(price),
            None if !self.ledger.limits_money() => Ok(Price::FREE),
            None => Err(AdapterError::Setup(format!(
                "the budget limits money, but the price of {} is not known: give its adapter a price (Price::FREE for hardware of \
                 your own), or limit tokens only",
                self.profile().name
            ))),
        }
    }

    /// The least that a call must hold.
    fn least(&self) -> Amount {
        let any = self.worst(1, 1).unwrap_or(Amount::NONE);
        let (money, tokens) = (self.least_money.load(Ordering::Relaxed), self.least_tokens.load(Ordering::Relaxed));
        Amount {
            money: if money == u64::MAX { any.money } else { Usd::from_nanos(money) },
            tokens: if tokens == u64::MAX { any.tokens } else { tokens },
        }
    }

    /// What is spent today of what.
    fn gate(&self) -> Gate {
        let (today, cap) = (self.ledger.today(), self.ledger.day_cap());
        let (taken, held) = (today.taken(), today.held);
        let money = cap.money.map(|most| (taken.money.to_string(), format!("{most}"), held.money.to_string()));
        let tokens =
            cap.tokens.map(|most| (taken.tokens.to_string(), format!("{most} tokens"), held.tokens.to_string()));
        let parts: Vec<String> = [money, tokens]
            .into_iter()
            .flatten()
            .map(|(taken, most, held)| {
                format!("{taken} of {most} spent today, {held} of them held for calls under way")
            })
            .collect();
        let state = if parts.is_empty() { format!("{} spent today", today.spent) } else { parts.join("; ") };
        Gate { name: "budget".to_owned(), passes: cap.allows(taken + self.least()), state }
    }
}

adapter_around_inner!(Budget, gate);
