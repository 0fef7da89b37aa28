//! News between nodes: who wrote tells the others by NOTIFY, as a hint. The payload is who wrote and a place in the audit log; the
//! log is the data, and polling finds it without any hint.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use aura_core::{JobStatus, contract::store::News};
use futures::stream::{self, BoxStream};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, timeout_at},
};

use uuid::Uuid;

use super::{Core, error::is_cut};

/// How often somebody who waits looks whether another node wrote: with LISTEN as a backstop, and without.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_UNTOLD: Duration = Duration::from_millis(250);
/// The shortest time between two notifications: what is written in between is told by the next one. It grows while there is always
/// something to tell: each costs a transaction here, and a wake-up of every node.
const GAP: Duration = Duration::from_millis(5);
const LONGEST_GAP: Duration = Duration::from_millis(20);
/// How long to wait before listening again after the connection was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// How much news an engine may be behind before it is told that there was some.
const BEHIND: usize = 1024;

/// What this node knows of the end of the audit log.
pub(super) struct NewsDesk {
    channel: String,
    /// Tells this node's own notifications from others'.
    me: String,
    /// Whether the nodes tell one another.
    told: bool,
    /// The newest entry that this node has written, seen or heard of.
    seen: watch::Sender<i64>,
    /// The newest entry that this node has written.
    written: watch::Sender<i64>,
    /// What is told as it happens.
    told_here: broadcast::Sender<News>,
    /// When somebody last looked.
    looked: tokio::sync::Mutex<Option<Instant>>,
    stopped: watch::Sender<bool>,
}

fn raise(cell: &watch::Sender<i64>, seq: i64) {
    cell.send_if_modified(|held| {
        let is_news = *held < seq;
        *held = seq.max(*held);
        is_news
    });
}

impl NewsDesk {
    pub(super) fn new(schema: &str, told: bool) -> Self {
        Self {
            channel: format!("aura_news_{schema}"),
            me: Uuid::new_v4().simple().to_string(),
            told,
            told_here: broadcast::Sender::new(BEHIND),
            seen: watch::Sender::new(0),
            written: watch::Sender::new(0),
            looked: tokio::sync::Mutex::new(None),
            stopped: watch::Sender::new(false),
        }
    }

    /// This node committed entries up to `seq`.
    pub(super) fn wrote(&self, seq: i64) {
        raise(&self.written, seq);
        raise(&self.seen, seq);
    }

    /// The log is known to reach to `seq`.
    pub(super) fn saw(&self, seq: i64) {
        raise(&self.seen, seq);
    }

    /// A notification: who wrote, and how far the log reaches.
    fn heard(&self, payload: &str) {
        let Some((who, seq)) = payload.split_once(' ') else { return };
        if let Ok(seq) = seq.parse() {
            self.saw(seq);
        }
        if who != self.me {
            self.tell(News::Others);
        }
    }

    /// This node committed that jobs were moved into these states, which the disk has not yet: who waits for them may begin.
    pub(super) fn moved(&self, to: Vec<JobStatus>) {
        self.tell(News::Moved(to));
    }

    fn tell(&self, news: News) {
        // Nobody may listen.
        let _ = self.told_here.send(news);
    }

    /// News from now on, until the store is gone.
    pub(super) fn listen(&self) -> BoxStream<'static, News> {
        let next = |mut told: broadcast::Receiver<News>| async move {
            match told.recv().await {
                Ok(news) => Some((news, told)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((News::Others, told)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        };
        Box::pin(stream::unfold(self.told_here.subscribe(), next))
    }

    /// Ends telling and listening.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Begins to tell and to listen, until the store is gone.
    pub(super) fn start(&self, core: &Arc<Core>, listen: Option<PgConnectOptions>) {
        let Some(options) = listen else { return };
        tokio::spawn(tell(Arc::downgrade(core), self.written.subscribe(), self.stopped.subscribe()));
        tokio::spawn(hear(Arc::downgrade(core), options, self.channel.clone(), self.stopped.subscribe()));
    }
}

/// Sends a notification for what this node wrote, in a transaction of its own that waits for no disk.
async fn tell(core: Weak<Core>, mut written: watch::Receiver<i64>, mut stopped: watch::Receiver<bool>) {
    let mut gap = GAP;
    loop {
        tokio::select! {
            changed = written.changed() => if changed.is_err() { return },
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let seq = *written.borrow_and_update();
        let Some(core) = core.upgrade() else { return };
        if let Err(error) = notify(&core, seq).await {
            tracing::debug!(%error, "other nodes could not be told and will find out by themselves");
        }
        drop(core);
        tokio::time::sleep(gap).await;
        let is_more = written.has_changed().unwrap_or(false);
        gap = if is_more { LONGEST_GAP.min(2 * gap) } else { GAP };
    }
}

async fn notify(core: &Core, seq: i64) -> Result<(), sqlx::Error> {
    let NewsDesk { channel, me, .. } = &*core.news;
    let channel = channel.replace('\'', "''");
    // Sent in one go, it is one transaction.
    let both = format!("SET LOCAL synchronous_commit TO off; SELECT pg_notify('{channel}', '{me} {seq}')");
    let mut cut = 0;
    loop {
        match sqlx::raw_sql(AssertSqlSafe(both.clone())).execute(&core.pool).await {
            Err(error) if is_cut(&error) && cut < core.pool.options().get_max_connections() => cut += 1,
            outcome => return outcome.map(drop),
        }
    }
}

async fn hear(core: Weak<Core>, options: PgConnectOptions, channel: String, mut stopped: watch::Receiver<bool>) {
    loop {
        let heard = async {
            let pool: PgPool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(&channel).await?;
            loop {
                // A connection that was lost is found here, and made again by the listener.
                let told = listener.try_recv().await?;
                let Some(core) = core.upgrade() else { return Ok::<(), sqlx::Error>(()) };
                match told {
                    Some(told) => core.news.heard(told.payload()),
                    None => {
                        core.look().await;
                        core.news.tell(News::Others);
                    }
                }
            }
        };
        tokio::select! {
            outcome = heard => match outcome {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "this node does not hear the others, polls, and will listen again"),
            },
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Core {
    /// Looks whether another node wrote, unless somebody else looks, or just did: many may wait, one look serves all.
    pub(super) async fn look(&self) {
        let Ok(mut looked) = self.news.looked.try_lock() else { return };
        if looked.is_some_and(|at| at.elapsed() < LOOK_UNTOLD / 2) {
            return;
        }
        match self.newest().await {
            Ok(seq) => self.news.saw(seq),
            // The wait goes on: whoever reads the log next gets the error.
            Err(error) => tracing::debug!(%error, "could not look for new audit entries"),
        }
        *looked = Some(Instant::now());
    }

    /// Waits until the log may reach past `after`.
    pub(super) async fn changed(&self, after: i64, timeout: Duration) {
        let mut seen = self.news.seen.subscribe();
        let now = Instant::now();
        let end = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400));
        let look = if self.news.told { LOOK } else { LOOK_UNTOLD };
        if *seen.borrow_and_update() <= after {
            self.look().await;
        }
        while *seen.borrow_and_update() <= after && Instant::now() < end {
            let next = end.min(Instant::now() + look);
            if timeout_at(next, seen.changed()).await.is_err() && next < end {
                self.look().await;
            }
        }
    }
}
