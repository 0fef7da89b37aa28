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
use serde_json::json;
use sqlx::postgres::PgRow;

use super::{
    Core, PgStore,
    error::is_duplicate,
    row::{Named, each},
    value,
    write::{Statement, Write, again},
};

/// The columns that [`model`] reads.
macro_rules! model_columns {
    () => {
        "id, name, kind, coalesce(endpoint, '') AS endpoint, is_active, created_at, provider, \
         coalesce(identity_model, name) AS identity_model, roles, vram_mib, memory_mib, concurrency, stub, hold, standing, \
         asked_at, price "
    };
}

fn model(row: &PgRow) -> Result<Model, StoreError> {
    let named = Named::new("model", row);
    Ok(Model {
        id: ModelId(named.get("id")?),
        profile: ModelProfile {
            name: named.parsed("name")?,
            kind: named.parsed("kind")?,
            endpoint: named.get("endpoint")?,
            identity: ModelIdentity { provider: named.get("provider")?, model: named.get("identity_model")? },
            roles: named.json("roles")?,
            needs: Needs { vram: Mebibytes(named.number("vram_mib")?), memory: Mebibytes(named.number("memory_mib")?) },
            price: named.maybe_json("price")?,
            concurrency: named.small("concurrency")?,
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
    let text = |text: &str| value::text(text).into_owned();
    query
        .bind(profile.name.as_str().to_owned())
        .bind(profile.kind.as_str())
        .bind(text(&profile.endpoint))
        .bind(text(&profile.identity.provider))
        .bind(text(&profile.identity.model))
        .bind(json!(profile.roles).to_string())
        .bind(amount(profile.needs.vram))
        .bind(amount(profile.needs.memory))
        .bind(i32::from(profile.concurrency.max(1)))
        .bind(profile.stub.as_deref().map(text))
        .bind(profile.price.map(|price| json!(price).to_string()))
}

impl Write<'_> {
    /// A model, kept from others until the transaction ends.
    async fn model(&mut self, id: ModelId) -> Result<Model, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models WHERE id = $1 FOR NO KEY UPDATE"));
        match self.row(query.bind(id.0)).await? {
            Some(row) => model(&row),
            None => Err(StoreError::not_found("model", id)),
        }
    }

    async fn model_named(&mut self, name: &str) -> Result<Option<Model>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models WHERE name = $1 FOR NO KEY UPDATE"));
        self.row(query.bind(name)).await?.map(|row| model(&row)).transpose()
    }

    fn registered(&mut self, row: &PgRow, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let mut stored = model(row)?;
        let details = json!({ "model": profile.name, "model_id": stored.id, "kind": profile.kind,
                              "identity": profile.identity, "stub": profile.stub });
        self.trail.entry(actor, Action::ModelRegistered, details);
        stored.profile.origin = profile.origin;
        Ok(stored)
    }

    async fn insert_model(&mut self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let query = sqlx::query(concat!(
            "INSERT INTO models (name, kind, endpoint, provider, identity_model, roles, vram_mib, memory_mib, concurrency,
                 stub, price, created_at) VALUES ($1, $2, $3, $4, $5, $6::json, $7, $8, $9, $10, $11::json, $12) RETURNING ",
            model_columns!()
        ));
        let row = self.row(bind_profile(query, profile).bind(self.now)).await?;
        let row = row.ok_or_else(|| StoreError::not_found("model", &profile.name))?;
        self.registered(&row, profile, actor)
    }

    async fn update_model(&mut self, id: ModelId, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let query = sqlx::query(concat!(
            "UPDATE models SET name = $1, kind = $2, endpoint = $3, provider = $4, identity_model = $5, roles = $6::json,
                 vram_mib = $7, memory_mib = $8, concurrency = $9, stub = $10, price = $11::json WHERE id = $12 RETURNING ",
            model_columns!()
        ));
        let row = self.row(bind_profile(query, profile).bind(id.0)).await?;
        let row = row.ok_or_else(|| StoreError::not_found("model", &profile.name))?;
        self.registered(&row, profile, actor)
    }
}

impl Core {
    async fn register_once(&self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        let mut write = self.write("register a model").await?;
        let model = write.insert_model(profile, actor).await?;
        write.commit().await?;
        Ok(model)
    }

    async fn employ_once(&self, profile: &ModelProfile) -> Result<Model, StoreError> {
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

    async fn set_hold_once(&self, id: ModelId, hold: Option<&str>, actor: &Actor) -> Result<Model, StoreError> {
        let mut write = self.write("hold or release a model").await?;
        let mut model = write.model(id).await?;
        if model.hold.as_deref() == hold {
            return Ok(model);
        }
        write.run(sqlx::query("UPDATE models SET hold = $1 WHERE id = $2").bind(hold).bind(id.0)).await?;
        let (action, details) = match hold {
            Some(reason) => {
                (Action::ModelHeld, json!({ "model": model.profile.name, "model_id": id, "reason": reason }))
            }
            None => (Action::ModelReleased, json!({ "model": model.profile.name, "model_id": id })),
        };
        write.trail.entry(actor, action, details);
        write.commit().await?;
        model.hold = hold.map(str::to_owned);
        Ok(model)
    }

    async fn change_once(&self, changes: &[StandingChange]) -> Result<Each<Promotion>, StoreError> {
        let mut write = self.write("change standings").await?;
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            match change_one(&mut write, change).await {
                Err(error) if !crate::sql::concerns_one_item(&error) => return Err(error),
                answer => answers.push(answer),
            }
        }
        write.commit().await?;
        Ok(answers)
    }

    async fn record_once(&self, scores: &[ModelScore]) -> Result<(), StoreError> {
        let mut write = self.write("store what HR saw").await?;
        let names = write.names_of(scores.iter().map(|score| score.model_id)).await?;
        if let Some(score) = scores.iter().find(|score| !names.contains_key(&score.model_id)) {
            return Err(StoreError::not_found("model", score.model_id));
        }
        let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        let (mut models, mut starts, mut ends, mut means) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut tasks, mut promotions, mut penalties) = (Vec::new(), Vec::new(), Vec::new());
        for score in scores {
            models.push(score.model_id.0);
            starts.push(score.window_start);
            ends.push(score.window_end);
            means.push(score.avg_score.map(|mean| mean.get().to_string()));
            tasks.push(count(score.tasks_completed));
            promotions.push(count(score.promotions));
            penalties.push(count(score.penalties));
        }
        let query = sqlx::query(
            "INSERT INTO model_scores (model_id, window_start, window_end, avg_score, tasks_completed, promotions, penalties)
             SELECT model, starts, ends, mean::numeric, tasks, promotions, penalties
             FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::int[], $6::int[], $7::int[])
                 AS new (model, starts, ends, mean, tasks, promotions, penalties)",
        );
        let query = query.bind(models).bind(starts).bind(ends).bind(means).bind(tasks).bind(promotions).bind(penalties);
        write.run(query).await?;
        write.commit().await
    }
}

#[async_trait]
impl ModelStore for PgStore {
    async fn register(&self, profile: &ModelProfile, actor: &Actor) -> Result<Model, StoreError> {
        match again(|| self.core.register_once(profile, actor)).await {
            Err(error) if is_duplicate(&error) => {
                let reason = "is employed already: choose another name, or use the one there is";
                Err(StoreError::conflict("model", &profile.name, reason))
            }
            outcome => outcome,
        }
    }

    async fn employ(&self, profile: &ModelProfile) -> Result<Model, StoreError> {
        match again(|| self.core.employ_once(profile)).await {
            // Another node employed it at the same moment: now it is there.
            Err(error) if is_duplicate(&error) => again(|| self.core.employ_once(profile)).await,
            outcome => outcome,
        }
    }

    async fn models(&self) -> Result<Vec<Model>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", model_columns!(), "FROM models ORDER BY id"));
        let models = each(&self.core.rows("list models", query).await?, model)?;
        self.core.learn_names(models.iter().map(|model| (model.id, model.profile.name.as_str().to_owned())));
        Ok(models)
    }

    async fn set_hold(&self, id: ModelId, hold: Option<String>, actor: &Actor) -> Result<Model, StoreError> {
        let hold = hold.as_deref().map(value::text);
        again(|| self.core.set_hold_once(id, hold.as_deref(), actor)).await
    }

    async fn attend(&self, models: &[ModelId]) -> Result<(), StoreError> {
        again(|| async {
            let mut write = self.core.write("note which models are worked for").await?;
            let ids: Vec<i32> = models.iter().map(|model| model.0).collect();
            // In the order of their ids: nodes that note the same models at once cannot wait for one another in a circle.
            let query = sqlx::query(
                "UPDATE models SET asked_at = greatest(asked_at, $2)
                 WHERE id IN (SELECT id FROM models WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)",
            );
            write.run(query.bind(ids).bind(write.now)).await?;
            write.commit().await
        })
        .await
    }

    async fn change_standings(&self, changes: &[StandingChange]) -> Result<Each<Promotion>, StoreError> {
        again(|| self.core.change_once(changes)).await
    }

    async fn record_scores(&self, scores: &[ModelScore]) -> Result<(), StoreError> {
        again(|| self.core.record_once(scores)).await
    }

    async fn latest_scores(&self) -> Result<Vec<ModelScore>, StoreError> {
        let query = sqlx::query(
            "SELECT newest.id, newest.model_id, newest.window_start, newest.window_end,
                 newest.avg_score::float8 AS avg_score, newest.tasks_completed, newest.promotions, newest.penalties
             FROM models CROSS JOIN LATERAL
                 (SELECT * FROM model_scores WHERE model_id = models.id ORDER BY id DESC LIMIT 1) AS newest
             ORDER BY models.id",
        );
        each(&self.core.rows("read what HR saw", query).await?, |row| {
            let named = Named::new("model score", row);
            Ok(ModelScore {
                model_id: ModelId(named.get("model_id")?),
                window_start: named.time("window_start")?,
                window_end: named.time("window_end")?,
                avg_score: named.maybe_ranged("avg_score")?,
                tasks_completed: named.small("tasks_completed")?,
                promotions: named.small("promotions")?,
                penalties: named.small("penalties")?,
            })
        })
    }

    async fn promotions(&self, before: Option<i64>, limit: u32) -> Result<Vec<Promotion>, StoreError> {
        let query = sqlx::query(
            "SELECT id, model_id, action, reason, performed_at FROM promotions
             WHERE id < coalesce($1, 9223372036854775807) ORDER BY id DESC LIMIT $2",
        );
        each(&self.core.replica_rows("list promotions", query.bind(before).bind(i64::from(limit))).await?, |row| {
            let named = Named::new("promotion", row);
            Ok(Promotion {
                id: named.get("id")?,
                model_id: ModelId(named.get("model_id")?),
                action: named.parsed::<HrAction>("action")?,
                reason: named.get("reason")?,
                performed_at: named.time("performed_at")?,
            })
        })
    }
}

async fn change_one(write: &mut Write<'_>, change: &StandingChange) -> Result<Promotion, StoreError> {
    let model = write.model(change.model).await?;
    if model.standing != change.from {
        let reason = format!("is {} now, not {}: decide again", model.standing, change.from);
        return Err(StoreError::conflict("model", model.profile.name, reason));
    }
    let to = change.action.leads_to();
    let query = sqlx::query("UPDATE models SET standing = $1, is_active = $2 WHERE id = $3");
    write.run(query.bind(to.as_str()).bind(to.is_active()).bind(change.model.0)).await?;
    let reason = value::text(&change.reason);
    let query = sqlx::query(
        "INSERT INTO promotions (model_id, action, reason, performed_at) VALUES ($1, $2, $3, $4) RETURNING id",
    );
    let query = query.bind(change.model.0).bind(change.action.as_str()).bind(reason.as_ref()).bind(write.now);
    let row = write.row(query).await?.ok_or_else(|| StoreError::not_found("promotion", "just stored"))?;
    let id = Named::new("promotion", &row).get("id")?;
    let details = json!({ "model": model.profile.name, "model_id": change.model, "action": change.action,
                          "from": change.from, "to": to, "reason": reason });
    write.trail.entry(&Actor::hr(), Action::ModelStanding, details);
    Ok(Promotion {
        id,
        model_id: change.model,
        action: change.action,
        reason: reason.into_owned(),
        performed_at: write.now,
    })
}
