//! The books of a budget: what is spent, what is held for calls under way, and what may be spent.

use std::{
    collections::HashMap,
    fmt,
    ops::Add,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aura_core::{AdapterError, Clock, ProjectId, SystemClock, Usd};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

/// Money and tokens, of one call or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// US dollars.
    pub money: Usd,
    /// Tokens read and written.
    pub tokens: u64,
}

impl Amount {
    /// Nothing.
    pub const NONE: Self = Self { money: Usd::ZERO, tokens: 0 };

    /// An amount of both.
    #[must_use]
    pub const fn new(money: Usd, tokens: u64) -> Self {
        Self { money, tokens }
    }

    const fn saturating_sub(self, other: Self) -> Self {
        Self { money: self.money.saturating_sub(other.money), tokens: self.tokens.saturating_sub(other.tokens) }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { money: self.money + other.money, tokens: self.tokens.saturating_add(other.tokens) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} tokens", self.money, self.tokens)
    }
}

/// The most that may be spent, of money, of tokens, or of both.
///
/// # Examples
/// ```
/// use aura_adapters::Cap;
/// use aura_core::Usd;
/// let cap = Cap::money(Usd::dollars(5.0).unwrap()).and_tokens(2_000_000);
/// assert_eq!(cap.to_string(), "$5.00 and 2000000 tokens");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cap {
    pub(super) money: Option<Usd>,
    pub(super) tokens: Option<u64>,
}

impl Cap {
    /// No limit.
    pub const NONE: Self = Self { money: None, tokens: None };

    /// At most so much money.
    #[must_use]
    pub const fn money(money: Usd) -> Self {
        Self { money: Some(money), tokens: None }
    }

    /// At most so many tokens, read and written together.
    #[must_use]
    pub const fn tokens(tokens: u64) -> Self {
        Self { money: None, tokens: Some(tokens) }
    }

    /// At most so many tokens, too.
    #[must_use]
    pub const fn and_tokens(mut self, tokens: u64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Whether the amount is within it.
    pub(super) fn allows(self, amount: Amount) -> bool {
        self.money.is_none_or(|most| amount.money <= most) && self.tokens.is_none_or(|most| amount.tokens <= most)
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.money, self.tokens) {
            (None, None) => f.write_str("no limit"),
            (Some(money), None) => write!(f, "{money}"),
            (None, Some(tokens)) => write!(f, "{tokens} tokens"),
            (Some(money), Some(tokens)) => write!(f, "{money} and {tokens} tokens"),
        }
    }
}

/// Books that the [`Budget`](crate::Budget) layers of several adapters keep together.
///
/// A clone writes in the same books, so set the caps first and clone then. Three caps can be set: for a
/// [run](Self::per_run), which is one call; for a [day](Self::per_day) of all projects, from midnight to midnight UTC; and for a
/// [project](Self::per_project), over the whole life of the books. A call counts to the day in which it ends.
///
/// The books live in memory. After a restart, carry over what the store knows of runs: [`carry_today`](Self::carry_today) and
/// [`carry_earlier`](Self::carry_earlier).
///
/// # Examples
/// ```
/// use aura_adapters::{Amount, Cap, Ledger};
/// use aura_core::{ProjectId, Usd};
/// let ledger = Ledger::new().per_day(Cap::money(Usd::dollars(5.0)?)).per_run(Cap::tokens(50_000));
/// ledger.carry_today(ProjectId::default(), Amount::new(Usd::dollars(1.25)?, 40_000));
/// assert_eq!(ledger.spent_today().money, Usd::dollars(1.25)?);
/// # Ok::<(), aura_core::OutOfRange>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Ledger {
    run: Cap,
    day: Cap,
    project: Cap,
    clock: Arc<dyn Clock>,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    day: NaiveDate,
    today: Account,
    projects: HashMap<ProjectId, Account>,
}

/// One account: calls under way are held for at their worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Account {
    pub(super) spent: Amount,
    pub(super) held: Amount,
}

impl Account {
    pub(super) fn taken(self) -> Amount {
        self.spent + self.held
    }

    fn hold(&mut self, worst: Amount) {
        self.held = self.held + worst;
    }

    fn settle(&mut self, worst: Amount, actual: Amount) {
        self.held = self.held.saturating_sub(worst);
        self.spent = self.spent + actual;
    }
}

impl Ledger {
    /// Empty books without any cap, by the clock of the machine.
    pub fn new() -> Self {
        Self { run: Cap::NONE, day: Cap::NONE, project: Cap::NONE, clock: Arc::new(SystemClock), books: Arc::default() }
    }

    /// What one call may spend (default: no limit).
    pub const fn per_run(mut self, cap: Cap) -> Self {
        self.run = cap;
        self
    }

    /// What all calls of one UTC day may spend together (default: no limit).
    pub const fn per_day(mut self, cap: Cap) -> Self {
        self.day = cap;
        self
    }

    /// What all calls for one project may spend together, over the life of the books (default: no limit).
    pub const fn per_project(mut self, cap: Cap) -> Self {
        self.project = cap;
        self
    }

    /// Which clock says what day it is (default: the machine's).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Enters what was spent today before these books were opened; it counts to the project, too.
    pub fn carry_today(&self, project: ProjectId, amount: Amount) {
        let (mut books, _now) = self.open();
        books.today.settle(Amount::NONE, amount);
        books.project(project).settle(Amount::NONE, amount);
    }

    /// Enters what was spent on earlier days; it counts to the project only.
    pub fn carry_earlier(&self, project: ProjectId, amount: Amount) {
        self.open().0.project(project).settle(Amount::NONE, amount);
    }

    /// What was spent today, calls under way not counted.
    #[must_use]
    pub fn spent_today(&self) -> Amount {
        self.today().spent
    }

    /// What was spent for a project, calls under way not counted.
    #[must_use]
    pub fn spent_for(&self, project: ProjectId) -> Amount {
        self.open().0.projects.get(&project).map_or(Amount::NONE, |account| account.spent)
    }

    pub(super) fn today(&self) -> Account {
        self.open().0.today
    }

    pub(super) const fn day_cap(&self) -> Cap {
        self.day
    }

    /// Whether any cap is one of money.
    pub(super) const fn limits_money(&self) -> bool {
        self.run.money.is_some() || self.day.money.is_some() || self.project.money.is_some()
    }

    /// Holds the worst that a call may spend, if that is within every cap. One lock: two calls cannot both get the last of it.
    pub(super) fn hold(&self, project: ProjectId, worst: Amount) -> Result<Hold, AdapterError> {
        if !self.run.allows(worst) {
            return Err(shut(
                format!(
                    "this call may spend {worst} and a run {}: lower its max_tokens or raise Ledger::per_run",
                    self.run
                ),
                None,
            ));
        }
        let (mut books, now) = self.open();
        let today = books.today;
        if !self.day.allows(today.taken() + worst) {
            // One that no day allows has nothing to wait for. When it would fit but for the calls under way, it may fit as soon as
            // one of them ends.
            let wait = self.day.allows(worst).then(|| match self.day.allows(today.spent + worst) {
                true => A_CALL,
                false => until_tomorrow(now),
            });
            let way_out = "it starts anew at midnight UTC; or raise Ledger::per_day";
            return Err(shut(refusal(worst, today, self.day, "today", way_out), wait));
        }
        let account = *books.project(project);
        if !self.project.allows(account.taken() + worst) {
            let whose = format!("for project {project}");
            return Err(shut(refusal(worst, account, self.project, &whose, "raise Ledger::per_project"), None));
        }
        books.today.hold(worst);
        books.project(project).hold(worst);
        drop(books);
        Ok(Hold { ledger: self.clone(), project, worst, actual: worst })
    }

    /// The books, open at the present day, and the present moment.
    fn open(&self) -> (MutexGuard<'_, Books>, DateTime<Utc>) {
        let now = self.clock.now();
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if now.date_naive() > books.day {
            books.day = now.date_naive();
            // What is held stays held: those calls will end, and be billed, today.
            books.today.spent = Amount::NONE;
        }
        (books, now)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Books {
    fn project(&mut self, project: ProjectId) -> &mut Account {
        self.projects.entry(project).or_default()
    }
}

fn refusal(worst: Amount, account: Account, cap: Cap, whose: &str, way_out: &str) -> String {
    let Account { spent, held } = account;
    format!(
        "this call may spend {worst}, and {spent} of {cap} {whose} are spent, {held} held for calls under way: {way_out}"
    )
}

/// How soon one of the calls under way may have ended.
const A_CALL: Duration = Duration::from_secs(5);

fn shut(reason: String, retry_after: Option<Duration>) -> AdapterError {
    AdapterError::Shut { gate: "budget", reason, retry_after }
}

fn until_tomorrow(now: DateTime<Utc>) -> Duration {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1)).map(|day| day.and_time(NaiveTime::MIN).and_utc());
    tomorrow.and_then(|tomorrow| (tomorrow - now).to_std().ok()).unwrap_or_default()
}

/// What is held for one call. It is settled when it is dropped; as spent in full, unless something else was found out.
#[derive(Debug)]
pub(super) struct Hold {
    ledger: Ledger,
    project: ProjectId,
    worst: Amount,
    actual: Amount,
}

impl Hold {
    /// Settles it as this.
    pub(super) fn settle(mut self, actual: Amount) {
        self.actual = actual;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let (mut books, _now) = self.ledger.open();
        books.today.settle(self.worst, self.actual);
        books.project(self.project).settle(self.worst, self.actual);
    }
}
