//! The verbs of employed models and of HR's decisions.

use async_trait::async_trait;
use aura_core::{
    Action, Actor, HrAction, Mebibytes, Model, ModelId, ModelIdentity, ModelProfile, ModelScore, Origin, Promotion,
    StoreError,
    contract::{
        ModelStore,
        store::{Each, StandingChange},
    },
    resources::Needs,
};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;

use super::{
    SqliteStore, moment,
    row::{Named, each},
    write::{Statement, Write, answer},
};

/// The columns that [`model`] reads.
macro_rules! model_columns {
    () => {
        "id, name, kind, coalesce(endpoint, '') AS endpoint, is_active, created_at, provider, \
         coalesce(identity_model, name) AS identity_model, roles, vram_mib, memory_mib, concurrency, stub, hold, standing, \
         asked_at, price "
    };
}

fn model(row: &SqliteRow) -> Result<Model, StoreError> {
    let named = Named::new("model", row);
    Ok(Model {
        id: ModelId(named.number("id")?),
        profile: ModelProfile {
            name: named.parsed("name")?,
            kind: named.parsed("kind")?,
            endpoint: named.get("endpoint")?,
            identity: ModelIdentity { provider: named.get("provider")?, model: named.get("identity_model")? },
            roles: named.json("roles")?,
            needs: Needs { vram: Mebibytes(named.number("vram_mib")?), memory: Mebibytes(named.number("memory_mib")?) },
            price: named.maybe_json("price")?,
            concurrency: named.number("concurrency")?,
            stub: named.get("stub")?,
            // Whose code a model's answers are is known to the process that runs the adapter; a table that anybody can write
            // cannot vouch for it.
            origin: Origin::Model,
        },
        is_active: named.get("is_active")?,
        hold: named.get("hold")?,
        standing: named.parsed("standing")?,
        created_at: named.time("created_at")?,
        asked_at: named.maybe_time("asked_at")?,
    })
}

/// Binds what a profile tells, in the order of the columns below.
fn bind_profile<'q>(query: Statement<'q>, profile: &ModelProfile) -> Statement<'q> {
    let amount = |Mebibytes(amount): Mebibytes| i64::try_from(amount).unwrap_or(i64::MAX);
    query
        .bind(profile.name.as_str().to_owned())
        .bind(profile.kind.as_str())
        .bind(profile.endpoint.clone())
        .bind(profile.identity.provider.clone())
        .bind(profile.identity.model.clone())
        .bind(json!(profile.roles).to_string())
        .bind(amount(profile.needs.vram))
        .bind(amount(profile.needs.memory))
        .bind(profile.concurrency.max(1))
        .bind(profile.stub.clone())
        .bind(profile.price.map(|price| json!(price).to_string()))
}

impl Write<'_> {
    async fn model_named(&mut self, name: &str) -> Result<Option<Model>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models WHERE name = ?")).bind(name);
        self.row(query).await?.map(|row| model(&row)).transpose()
    }

    async fn model(&mut self, id: ModelId) -> Result<Model, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models WHERE id = ?")).bind(id.0);
        match self.row(query).await? {
            Some(row) => model(&row),
            None => Err(StoreError::not_found("model", id)),
        }
    }

    async fn insert_model(&mut self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let query = sqlx::query(
            "INSERT INTO models (name, kind, endpoint, provider, identity_model, roles, vram_mib, memory_mib, concurrency,
                 stub, price, is_active, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
        );
        self.run(bind_profile(query, profile).bind(self.now_text())).await?;
        self.stored_model(profile, actor).await
    }

    async fn update_model(&mut self, id: ModelId, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let query = sqlx::query(
            "UPDATE models SET name = ?, kind = ?, endpoint = ?, provider = ?, identity_model = ?, roles = ?, vram_mib = ?,
                 memory_mib = ?, concurrency = ?, stub = ?, price = ? WHERE id = ?",
        );
        self.run(bind_profile(query, profile).bind(id.0)).await?;
        self.stored_model(profile, actor).await
    }

    async fn stored_model(&mut self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let stored = self.model_named(profile.name.as_str()).await?;
        let mut stored = stored.ok_or_else(|| StoreError::not_found("model", &profile.name))?;
        let details = json!({ "model": profile.name, "model_id": stored.id, "kind": profile.kind,
                              "identity": profile.identity, "stub": profile.stub });
        self.trail.entry(actor, Action::ModelRegistered, details);
        stored.profile.origin = profile.origin;
        Ok(stored)
    }
}

#[async_trait]
impl ModelStore for SqliteStore {
    async fn register(&self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let mut write = self.write("register a model").await?;
        if write.model_named(profile.name.as_str()).await?.is_some() {
            let reason = "is employed already: choose another name, or use the one there is";
            return Err(StoreError::conflict("model", &profile.name, reason));
        }
        let model = write.insert_model(profile, actor).await?;
        write.commit().await?;
        Ok(model)
    }

    async fn employ(&self, profile: &ModelProfile) -> Result<Model, StoreError> {
        let mut write = self.write("employ a model").await?;
        let model = match write.model_named(profile.name.as_str()).await? {
            None => write.insert_model(profile, &Actor::operator()).await?,
            Some(mut there) => {
                there.profile.origin = profile.origin;
                if there.profile == *profile {
                    return Ok(there);
                }
                write.update_model(there.id, profile, &Actor::operator()).await?
            }
        };
        write.commit().await?;
        Ok(model)
    }

    async fn models(&self) -> Result<Vec<Model>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models ORDER BY id"));
        each(&self.rows("list models", query).await?, model)
    }

    async fn set_hold(&self, id: ModelId, hold: Option<String>, actor: &Actor) -> Result<Model, StoreError> {
        let mut write = self.write("hold or release a model").await?;
        let mut model = write.model(id).await?;
        if model.hold == hold {
            return Ok(model);
        }
        write.run(sqlx::query("UPDATE models SET hold = ? WHERE id = ?").bind(hold.clone()).bind(id.0)).await?;
        let mut details = json!({ "model": model.profile.name, "model_id": id });
        let action = match (&hold, details.as_object_mut()) {
            (Some(reason), Some(details)) => {
                details.insert("reason".to_owned(), reason.as_str().into());
                Action::ModelHeld
            }
            (Some(_), None) => Action::ModelHeld,
            (None, _) => Action::ModelReleased,
        };
        write.trail.entry(actor, action, details);
        write.commit().await?;
        model.hold = hold;
        Ok(model)
    }

    async fn attend(&self, models: &[ModelId]) -> Result<(), StoreError> {
        let mut write = self.write("note which models are worked for").await?;
        let query = sqlx::query("UPDATE models SET asked_at = ? WHERE id IN (SELECT value FROM json_each(?))")
            .bind(write.now_text())
            .bind(Value::from_iter(models.iter().map(|model| model.0)).to_string());
        write.run(query).await?;
        write.commit().await
    }

    async fn change_standings(&self, changes: &[StandingChange]) -> Result<Each<Promotion>, StoreError> {
        let mut write = self.write("change standings").await?;
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            answer(change_one(&mut write, change).await, &mut answers)?;
        }
        write.commit().await?;
        Ok(answers)
    }

    async fn record_scores(&self, scores: &[ModelScore]) -> Result<(), StoreError> {
        let mut write = self.write("store what HR saw").await?;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for score in scores {
            if write.name_of(Some(score.model_id)).await?.is_none() {
                return Err(StoreError::not_found("model", score.model_id));
            }
            let query = sqlx::query(
                "INSERT INTO model_scores (model_id, window_start, window_end, avg_score, tasks_completed, promotions, penalties)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            );
            let query = query
                .bind(score.model_id.0)
                .bind(moment::text(score.window_start))
                .bind(moment::text(score.window_end))
                .bind(score.avg_score.map(aura_core::Score::get))
                .bind(count(score.tasks_completed))
                .bind(count(score.promotions))
                .bind(count(score.penalties));
            write.run(query).await?;
        }
        write.commit().await
    }

    async fn latest_scores(&self) -> Result<Vec<ModelScore>, StoreError> {
        let query = sqlx::query(
            "SELECT model_scores.* FROM models JOIN model_scores
             ON model_scores.id = (SELECT max(id) FROM model_scores WHERE model_id = models.id) ORDER BY models.id",
        );
        each(&self.rows("read what HR saw", query).await?, |row| {
            let named = Named::new("model score", row);
            Ok(ModelScore {
                model_id: ModelId(named.number("model_id")?),
                window_start: named.time("window_start")?,
                window_end: named.time("window_end")?,
                avg_score: named.maybe_ranged("avg_score")?,
                tasks_completed: named.number("tasks_completed")?,
                promotions: named.number("promotions")?,
                penalties: named.number("penalties")?,
            })
        })
    }

    async fn promotions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Promotion>, StoreError> {
        let query = sqlx::query(
            "SELECT id, model_id, action, coalesce(reason, '') AS reason, performed_at FROM promotions
             WHERE id < coalesce(?, 9223372036854775807) ORDER BY id DESC LIMIT ?",
        );
        each(&self.rows("list promotions", query.bind(before).bind(limit)).await?, |row| {
            let named = Named::new("promotion", row);
            Ok(Promotion {
                id: named.get("id")?,
                model_id: ModelId(named.number("model_id")?),
                action: named.parsed::<HrAction>("action")?,
                reason: named.get("reason")?,
                performed_at: named.time("performed_at")?,
            })
        })
    }
}

async fn change_one(write: &mut Write<'_>, change: &StandingChange) -> Result<Promotion, StoreError> {
    let model = write.model(change.model).await?;
    let to = change.action.leads_to();
    let query = sqlx::query("UPDATE models SET standing = ?, is_active = ? WHERE id = ? AND standing = ?")
        .bind(to.as_str())
        .bind(to.is_active())
        .bind(change.model.0)
        .bind(change.from.as_str());
    if write.run(query).await? == 0 {
        let reason = format!("is {} now, not {}: decide again", model.standing, change.from);
        return Err(StoreError::conflict("model", model.profile.name, reason));
    }
    let query =
        sqlx::query("INSERT INTO promotions (model_id, action, reason, performed_at) VALUES (?, ?, ?, ?) RETURNING id")
            .bind(change.model.0)
            .bind(change.action.as_str())
            .bind(&change.reason)
            .bind(write.now_text());
    let row = write.row(query).await?.ok_or_else(|| StoreError::not_found("promotion", "just stored"))?;
    let id = Named::new("promotion", &row).get("id")?;
    let details = json!({ "model": model.profile.name, "model_id": change.model, "action": change.action,
                          "from": change.from, "to": to, "reason": change.reason });
    write.trail.entry(&Actor::hr(), Action::ModelStanding, details);
    Ok(Promotion {
        id,
        model_id: change.model,
        action: change.action,
        reason: change.reason.clone(),
        performed_at: write.now,
    })
}
