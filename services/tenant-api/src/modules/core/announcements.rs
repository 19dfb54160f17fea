//! Announcements: what runs now, for whom.

use std::collections::HashSet;

use fault::Fault;
use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait,
    EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
    sea_query::Expr,
};
use serde_json::{Map, Value, json};

use crate::{
    http::{Answer, Call, Result, Route, Who},
    resource::{Change, Field, ListSpec, Operations, Resource, Row, Spec, present, show, value},
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "announcements")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub title: String,
    pub body: String,
    pub level: String,
    pub audience: String,
    pub is_pinned: bool,
    pub starts_at: DateTimeUtc,
    pub ends_at: Option<DateTimeUtc>,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const PUBLIC: Option<&[Who]> = Some(&[Who::Public]);
const STAFF: Option<&[Who]> = Some(&[Who::Staff]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "announcements",
        path: "/announcements",
        table: "announcements",
        owner: None,
        fields: &[
            Field::text("title", "120").required(),
            Field::markdown("body", "4000").required(),
            Field::one_of("level", &["info", "success", "warning"]).default("\"info\""),
            Field::one_of("audience", &["all", "users", "staff"]).default("\"all\""),
            Field::bool("isPinned").default("false"),
            Field::timestamp("startsAt").filled(),
            Field::timestamp("endsAt"),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["level", "audience", "isPinned"],
            ranges: &[],
            params: &[Field::bool("active")],
            sort: &["startsAt", "createdAt"],
            default_sort: "-startsAt",
            search: &[],
        },
        operations: Operations {
            list: PUBLIC,
            get: PUBLIC,
            create: STAFF,
            update: STAFF,
            delete: STAFF,
        },
    };

    const COMPUTED: &'static [Field] = &[Field::bool("isDismissed").required()];

    async fn visible(call: &Call) -> Result<Condition> {
        if call.is_staff() {
            return Ok(Condition::all());
        }
        let audiences: &[&str] = if call.caller().is_some() {
            &["all", "users"]
        } else {
            &["all"]
        };
        Ok(running(call).add(Column::Audience.is_in(audiences.iter().copied())))
    }

    async fn narrow(call: &Call, params: &Map<String, Value>) -> Result<Condition> {
        Ok(match params.get("active").and_then(Value::as_bool) {
            // Others always get running ones.
            _ if !call.is_staff() => Condition::all(),
            Some(true) => running(call),
            Some(false) => running(call).not(),
            None => Condition::all(),
        })
    }

    /// Pinned ones, for others than staff.
    fn foremost(call: &Call) -> Option<Expr> {
        (!call.is_staff()).then(|| Expr::col((Self, Column::IsPinned)))
    }

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        if change.values.get("startsAt").is_none_or(Value::is_null) && change.is_create() {
            change.set("startsAt", value::instant(call.now()));
        }
        let at = |name: &str, before: Option<DateTimeUtc>| match change.values.get(name) {
            Some(sent) => sent.as_str().and_then(|text| text.parse().ok()),
            None => before,
        };
        let starts: Option<DateTimeUtc> = at("startsAt", change.before.map(|row| row.starts_at));
        let ends: Option<DateTimeUtc> = at("endsAt", change.before.and_then(|row| row.ends_at));
        match (starts, ends) {
            (Some(starts), Some(ends)) if ends <= starts => {
                Err(Fault::field("endsAt", "must be later than startsAt").into())
            }
            _ => Ok(()),
        }
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.model.id).collect();
        let mut dismissed = HashSet::new();
        if let (Some(caller), false) = (call.caller(), ids.is_empty()) {
            let sql =
                "SELECT announcement_id FROM announcement_reads WHERE user_id = $1 AND announcement_id = ANY ($2)";
            for row in call.rows(sql, [caller.id.into(), value::uuids(&ids)]).await? {
                dismissed.insert(row.try_get::<Uuid>("", "announcement_id")?);
            }
        }
        for row in rows {
            let is_dismissed = dismissed.contains(&row.model.id);
            row.json.insert("isDismissed".to_owned(), json!(is_dismissed));
        }
        Ok(())
    }
}

/// Started and not ended.
fn running(call: &Call) -> Condition {
    let now = call.now();
    Condition::all().add(Column::StartsAt.lte(now)).add(
        Condition::any()
            .add(Column::EndsAt.is_null())
            .add(Column::EndsAt.gt(now)),
    )
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/announcements/{id}/dismiss", "dismiss", dismiss)
            .who(&[Who::User])
            .returns(Entity::ROW),
    ]
}

/// Remembers for the caller that it was read; a second time changes nothing.
async fn dismiss(call: Call) -> Result<Answer> {
    let row = show::find::<Entity>(&call, call.parameter("id"), show::Lock::None).await?;
    let sql = "INSERT INTO announcement_reads (id, announcement_id, user_id) VALUES ($1, $2, $3) \
               ON CONFLICT (announcement_id, user_id) DO NOTHING";
    let values = [Uuid::now_v7().into(), row.id.into(), call.user()?.id.into()];
    if call.run(sql, values).await? == 1 {
        call.closing().watch("announcement_reads");
    }
    let title = row.title.clone();
    let subject = crate::http::answer::Subject {
        id: Some(row.id),
        title,
        ..Default::default()
    };
    Ok(Answer::data(present::one::<Entity>(&call, row).await?).about(subject))
}
