//! Money: what a generation cost, from the tokens it used and the price of the model.

use std::{fmt, iter::Sum, ops::Add};

use serde::{Deserialize, Serialize};

use crate::{generation::Usage, units::OutOfRange};

/// An amount of US dollars, kept in whole billionths so that sums are exact. On the wire it is a number of dollars.
///
/// # Examples
/// ```
/// use aura_core::Usd;
/// assert_eq!(Usd::dollars(0.15).unwrap().to_string(), "$0.15");
/// assert_eq!(Usd::from_nanos(8_250).to_string(), "$0.00000825");
/// assert!(Usd::dollars(f64::NAN).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be given in dollars: a million. It keeps sums of amounts far from the end of the range.
    pub const MAX: Self = Self(1_000_000 * NANOS);

    /// An amount given in dollars, rounded to a billionth.
    ///
    /// # Errors
    /// [`OutOfRange`] for what is not finite, below 0, or above [`MAX`](Self::MAX).
    pub fn dollars(dollars: f64) -> Result<Self, OutOfRange> {
        let max = Self::MAX.as_dollars();
        if !(0.0..=max).contains(&dollars) {
            return Err(OutOfRange { what: "amount of money", value: dollars, min: 0.0, max });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "in range"
        )]
        Ok(Self((dollars * NANOS as f64).round() as u64))
    }

    /// An amount in billionths of a dollar.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Billionths of a dollar.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Dollars, for showing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 billionths")]
    pub const fn as_dollars(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// The difference, 0 when `other` is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Billionths in a dollar.
const NANOS: u64 = 1_000_000_000;
/// Tokens that prices are given for.
const PER: u128 = 1_000_000;

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl TryFrom<f64> for Usd {
    type Error = OutOfRange;

    fn try_from(dollars: f64) -> Result<Self, Self::Error> {
        Self::dollars(dollars)
    }
}

impl From<Usd> for f64 {
    fn from(amount: Usd) -> Self {
        amount.as_dollars()
    }
}

/// Dollars with as many digits as mean something, at least two.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANOS);
        let digits = fraction.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / NANOS, fraction.get(..digits).unwrap_or(&fraction))
    }
}

/// What a vendor asks for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Price {
    /// For tokens read.
    pub input: Usd,
    /// For tokens read that the vendor had seen before (default: as `input`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Usd>,
    /// For tokens written, reasoning included.
    pub output: Usd,
}

impl Price {
    /// Costs nothing, as a model on hardware of our own.
    pub const FREE: Self = Self { input: Usd::ZERO, cached_input: None, output: Usd::ZERO };

    /// A price in dollars for a million tokens read and a million written.
    ///
    /// # Errors
    /// [`OutOfRange`] for an amount that is none.
    pub fn per_million(input: f64, output: f64) -> Result<Self, OutOfRange> {
        Ok(Self { input: Usd::dollars(input)?, cached_input: None, output: Usd::dollars(output)? })
    }

    /// What this usage costs, rounded up to a billionth of a dollar. Absent when a count that costs something is absent: what is
    /// not known is not 0.
    ///
    /// # Examples
    /// ```
    /// use aura_core::{Price, Usage, Usd};
    /// let price = Price::per_million(0.15, 0.60).unwrap();
    /// let usage = Usage { input_tokens: Some(1000), output_tokens: Some(500), ..Usage::default() };
    /// assert_eq!(price.cost(&usage), Some(Usd::dollars(0.00045).unwrap()));
    /// assert_eq!(price.cost(&Usage::default()), None);
    /// assert_eq!(Price::FREE.cost(&Usage::default()), Some(Usd::ZERO));
    /// ```
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Usd> {
        let cached = usage.cached_input_tokens.unwrap_or(0);
        let cached_price = self.cached_input.unwrap_or(self.input);
        let fresh = usage.input_tokens.map(|tokens| tokens.saturating_sub(cached));
        let parts = [(self.input, fresh), (cached_price, Some(cached)), (self.output, usage.output_tokens)];
        let mut sum: u128 = 0;
        for (price, tokens) in parts {
            sum = match tokens {
                Some(tokens) => sum.saturating_add(u128::from(price.0).saturating_mul(u128::from(tokens))),
                None if price == Usd::ZERO => sum,
                None => return None,
            };
        }
        Some(Usd(u64::try_from(sum.div_ceil(PER)).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cached_tokens_cost_their_own_price_and_are_part_of_those_read() {
        let price = Price { cached_input: Some(Usd::dollars(0.5).unwrap()), ..Price::per_million(1.0, 10.0).unwrap() };
        let usage = Usage { input_tokens: Some(1_000_000), cached_input_tokens: Some(400_000), output_tokens: Some(0) };
        assert_eq!(price.cost(&usage), Some(Usd::dollars(0.8).unwrap()));
    }

    #[test]
    fn amounts_out_of_range_are_refused() {
        for bad in [-0.01, 1e7, f64::INFINITY, f64::NAN] {
            assert!(Usd::dollars(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Usd>("-1").is_err());
    }

    proptest! {
        #[test]
        fn more_tokens_never_cost_less_and_no_count_overflows(input: u64, output: u64, more in 0_u64..1000, price in 0.0..100.0) {
            let price = Price::per_million(price, price).unwrap();
            let cost = |input, output| price.cost(&Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() });
            prop_assert!(cost(input.saturating_add(more), output) >= cost(input, output));
        }

        #[test]
        fn an_amount_survives_the_wire(nanos in 0..=Usd::MAX.nanos()) {
            let amount = Usd::from_nanos(nanos);
            let back: Usd = serde_json::from_str(&serde_json::to_string(&amount).unwrap()).unwrap();
            prop_assert_eq!(back, amount);
        }
    }
}
