//! Administration: the dashboard and how full the session is.

use chrono::TimeDelta;
use fault::Fault;
use futures::future::BoxFuture;
use rust_decimal::Decimal;
use sea_orm::prelude::DateTimeUtc;
use serde_json::{Value, json};

use crate::{
    dashboard::{BLOCK, Block, Chart, Figure, Form, LastDays},
    http::{Answer, Call, Result, Route, Who},
    modules::PARTS,
    resource::{Field, Kind, Shape, value::instant},
};

/// Its routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    const STAFF: &[Who] = &[Who::Staff];
    vec![
        Route::get("/admin/dashboard", "dashboard", dashboard)
            .who(STAFF)
            .returns_fields(DASHBOARD),
        Route::get("/admin/usage", "usage", usage)
            .who(STAFF)
            .returns_fields(USAGE),
    ]
}

const DASHBOARD: &[Field] = &[
    Field::timestamp("generatedAt").required(),
    Field::currency("currency").required(),
    Field::array("modules", &Kind::Object(&BLOCK)).required(),
];

const USAGE: &[Field] = &[
    Field::array("tables", &Kind::Object(&TABLE_USAGE)).required(),
    Field::int("uploadBytes").required(),
    Field::int("uploadBytesLimit").required(),
    Field::timestamp("expiresAt").required(),
];

const TABLE_USAGE: Shape = Shape::of(
    "TableUsage",
    &[
        Field::text("table", "63").required(),
        Field::int("rows").required(),
        Field::int("limit").required(),
    ],
);

/// One block for core and for each module with a granted feature.
async fn dashboard(call: Call) -> Result<Answer> {
    let mut blocks = Vec::new();
    for part in PARTS {
        let Some(module) = modules::module(part.id) else {
            continue;
        };
        let is_granted = |slug: &str| call.tenant().enabled.iter().any(|enabled| enabled == slug);
        let is_on = module
            .features
            .iter()
            .any(|feature| feature.always || is_granted(feature.slug));
        if let Some(block) = part.dashboard.filter(|_| is_on) {
            blocks.push(block(call.clone()).await?.show(module.id, module.title));
        }
    }
    Ok(Answer::data(json!({
        "generatedAt": instant(call.now()),
        "currency": call.tenant().currency,
        "modules": blocks,
    })))
}

/// Core's own block.
#[must_use]
pub fn block(call: Call) -> BoxFuture<'static, Result<Block>> {
    Box::pin(async move {
        let month = call.now() - TimeDelta::days(30);
        let sql = "SELECT (SELECT count(*) FROM users WHERE status = 'active') AS users, \
                   (SELECT count(*) FROM users WHERE created_at >= $1) AS newcomers, \
                   (SELECT COALESCE(sum(total - refunded_total), 0) FROM orders WHERE paid_at >= $1) AS revenue, \
                   (SELECT count(*) FROM contact_messages WHERE status IN ('new', 'in_progress')) AS contacts";
        let row = call.row(sql, [month.into()]).await?;
        let row = row.ok_or_else(|| Fault::internal("figures without an answer"))?;
        let int = |key, label, column| {
            let value = Decimal::from(row.try_get::<i64>("", column)?);
            Ok::<_, sea_orm::DbErr>(Figure {
                key,
                label,
                form: Form::Int,
                value,
            })
        };
        let figures = vec![
            int("users", "Users", "users")?,
            int("newUsers30d", "New users (30 days)", "newcomers")?,
            Figure {
                key: "revenue30d",
                label: "Revenue (30 days)",
                form: Form::Money,
                value: row.try_get("", "revenue")?,
            },
            int("openContacts", "Open contact messages", "contacts")?,
        ];
        let days = LastDays::load(&call, 30).await?;
        let sql = "SELECT created_at FROM users WHERE created_at >= $1";
        let rows = call.rows(sql, [days.since().into()]).await?;
        let signups = rows.iter().map(|row| row.try_get::<DateTimeUtc>("", "created_at"));
        let signups = signups.collect::<Result<Vec<_>, _>>()?;
        let chart = Chart {
            key: "signupsByDay",
            label: "Registrations per day",
            kind: "line",
            form: Form::Int,
            points: days.sum(signups.into_iter().map(|at| (at, Decimal::ONE))),
        };
        Ok(Block { figures, chart })
    })
}

/// Rows of every table, and bytes of uploads, in one statement.
async fn usage(call: Call) -> Result<Answer> {
    let mut tables = modules::table_names().to_vec();
    tables.sort_unstable();
    let counts = tables.iter().map(|table| format!("(SELECT count(*) FROM \"{table}\")"));
    let sql = format!(
        "SELECT json_build_array({}) AS counts, (SELECT COALESCE(sum(size), 0) FROM uploads)::bigint AS bytes",
        counts.collect::<Vec<_>>().join(", ")
    );
    let row = call.row(&sql, []).await?;
    let row = row.ok_or_else(|| Fault::internal("counts without an answer"))?;
    let counts: Value = row.try_get("", "counts")?;
    let limits = &call.app().limits;
    let rows = tables.iter().zip(counts.as_array().into_iter().flatten());
    let rows = rows.map(|(table, count)| json!({"table": table, "rows": count, "limit": limits.rows}));
    Ok(Answer::data(json!({
        "tables": rows.collect::<Value>(),
        "uploadBytes": row.try_get::<i64>("", "bytes")?,
        "uploadBytesLimit": limits.upload_bytes,
        "expiresAt": instant(call.tenant().expires_at),
    })))
}
