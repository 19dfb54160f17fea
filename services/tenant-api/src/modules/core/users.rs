//! Accounts, as admins see them, and the directory that everybody picks people from.

use std::collections::HashMap;

use fault::{Code, Fault, Pagination, codes};
use sea_orm::{
    ActiveModelBehavior, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    auth::reset,
    notifications::{To, notify},
};
use crate::{
    auth::opaque,
    http::{Answer, Call, Result, Route, Who},
    modules::PARTS,
    resource::{Change, Field, ListSpec, Operations, Resource, Shape, Spec, create, select, value},
    sandbox::{
        address,
        mail::{self, Mail},
    },
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub email: String,
    pub password_hash: String,
    pub name: String,
    pub role: String,
    pub status: String,
    pub phone: Option<String>,
    pub avatar_id: Option<Uuid>,
    pub failed_logins: i32,
    pub locked_until: Option<DateTimeUtc>,
    pub last_login_at: Option<DateTimeUtc>,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Roles of accounts, the mightiest first.
pub const ROLES: &[&str] = &["ADMIN", "STAFF", "USER"];
const EMAIL: Field = Field::email("email").required();
const NAME: Field = Field::text("name", "80").required();
const ROLE: Field = Field::one_of("role", ROLES).default("\"USER\"");
const STATUS: Field = Field::one_of("status", &["active", "disabled"]).default("\"active\"");
const PHONE: Field = Field::text("phone", "32");
const AVATAR: Field = Field::reference("avatarId", "uploads");
const ADMIN: Option<&[Who]> = Some(&[Who::Admin]);

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "users",
        path: "/users",
        table: "users",
        owner: Some("id"),
        fields: &[
            EMAIL,
            Field::text("passwordHash", "255").server().hidden(),
            NAME,
            ROLE,
            STATUS,
            PHONE,
            AVATAR,
            Field::int("failedLogins").server().hidden(),
            Field::timestamp("lockedUntil").server().hidden(),
            Field::timestamp("lastLoginAt").server().for_staff(),
        ],
        versioned: true,
        list: ListSpec {
            filters: &["role", "status"],
            ranges: &["createdAt"],
            params: &[],
            sort: &["name", "email", "createdAt", "lastLoginAt"],
            default_sort: "-createdAt",
            search: &["name", "email"],
        },
        operations: Operations {
            list: Some(&[Who::Staff]),
            get: Some(&[Who::Owner, Who::Staff]),
            // Its body has a password that is no column.
            create: None,
            update: ADMIN,
            delete: ADMIN,
        },
    };

    const UPDATE_ERRORS: &'static [Code] = &[codes::LAST_ADMIN];
    const DELETE_ERRORS: &'static [Code] = &[codes::LAST_ADMIN, codes::INVALID_STATE];

    async fn prepare(call: &Call, change: &mut Change<'_, Self>) -> Result<()> {
        let Some(before) = change.before else { return Ok(()) };
        let demoted = change.text("role").is_some_and(|role| role != "ADMIN");
        let disabled = change.text("status").is_some_and(|status| status != "active");
        if demoted || disabled {
            keep_an_admin(call, before).await?;
        }
        Ok(())
    }

    async fn written(call: &Call, before: Option<&Model>, after: &Model) -> Result<()> {
        let Some(before) = before else { return Ok(()) };
        if before.status != after.status && after.status == "disabled" {
            let sql = "DELETE FROM password_reset_tokens WHERE user_id = $1 AND used_at IS NULL";
            call.closing().write(sql, [after.id.into()]);
        }
        if before.role == after.role {
            return Ok(());
        }
        let body = format!("You are {} now.", after.role);
        let (to, title) = (To::Users(&[after.id]), "Your role has changed");
        notify(call, to, "core.role-changed", title, Some(&body), "/");
        Ok(())
    }

    async fn deleting(call: &Call, row: &Model) -> Result<()> {
        if call.user()?.id == row.id {
            let message = "You cannot delete your own account; ask another admin.";
            return Err(Fault::new(codes::INVALID_STATE, message).into());
        }
        keep_an_admin(call, row).await?;
        for leaving in PARTS.iter().filter_map(|part| part.leaving) {
            leaving(call.clone(), row.id).await?;
        }
        Ok(())
    }
}

/// Refuses the step when it takes the last active admin away. Such steps go one after another.
async fn keep_an_admin(call: &Call, row: &Model) -> Result<()> {
    if row.role != "ADMIN" || row.status != "active" {
        return Ok(());
    }
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    call.run(lock, [format!("admins:{}", call.tenant().schema).into()])
        .await?;
    let is_left = "EXISTS (SELECT 1 FROM users WHERE role = 'ADMIN' AND status = 'active')";
    let message = "This is the last active admin; make another user an admin first.";
    call.closing()
        .require(is_left, [], Fault::new(codes::LAST_ADMIN, message));
    Ok(())
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/users", "create", create)
            .who(&[Who::Admin])
            .body(const { &[EMAIL, NAME, ROLE, STATUS, PHONE, AVATAR, Field::password("password")] })
            .created()
            .returns(Entity::ROW)
            .errors(&[codes::CONFLICT]),
        Route::get("/users/directory", "directory", directory)
            .who(&[Who::User])
            .query(
                const {
                    &[
                        select::Q,
                        Field::one_of("role", ROLES),
                        Field::int("page").min("1").default("1"),
                        Field::int("limit").min("1").max("100").default("20"),
                    ]
                },
            )
            .returns_page(&USER_CARD),
    ]
}

/// A new account. Whatever its password is, the mail has a link to choose one.
async fn create(call: Call) -> Result<Answer> {
    let mut values = call.body().clone();
    let chosen = values
        .shift_remove("password")
        .and_then(|password| password.as_str().map(str::to_owned));
    let secret = chosen.map_or_else(opaque::generate, Ok)?;
    call.tx().pause().await?;
    let hash = call.app().hashing.hash(secret).await?;
    values.insert("passwordHash".to_owned(), json!(hash));
    let row = create::insert::<Entity>(&call, values).await?;
    let link = reset::link(&call, row.id)?;
    let mail = Mail {
        to: &row.email,
        name: Some(&row.name),
        template: "core.account-created",
        subject: "Your new account".to_owned(),
        lines: vec!["an account was created for you. Choose a password within 30 minutes to sign in.".to_owned()],
        action: Some(("Choose a password", link)),
    };
    mail::send(&call, mail).await?;
    create::created::<Entity>(&call, row).await
}

#[derive(Deserialize)]
struct Wanted {
    q: Option<String>,
    role: Option<String>,
    page: u64,
    limit: u64,
}

/// Active users by name; for pickers of assignees and members.
async fn directory(call: Call) -> Result<Answer> {
    let Wanted { q, role, page, limit } = call.params()?;
    let mut details = Vec::new();
    let words = select::words(q.as_deref(), &mut details);
    if !details.is_empty() {
        return Err(Fault::invalid(details).into());
    }
    let mut sql = "SELECT u.id, u.name, p.content_key \
                   FROM users u LEFT JOIN uploads p ON p.id = u.avatar_id \
                   WHERE u.status = 'active' AND ($1::text IS NULL OR u.role = $1)"
        .to_owned();
    let mut values: Vec<sea_orm::Value> = vec![role.into()];
    for word in &words {
        values.push(select::pattern(word).into());
        sql.push_str(&format!(" AND u.name ILIKE ${}", values.len()));
    }
    // Read whole: a session has at most a thousand users, and a page past the end must know the total too.
    sql.push_str(" ORDER BY u.name, u.id");
    let found = call.rows(&sql, values).await?;
    let total = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut cards = Vec::new();
    for row in found
        .iter()
        .skip(place((page - 1).saturating_mul(limit)))
        .take(place(limit))
    {
        cards.push(card(&call, row)?);
    }
    Ok(Answer::page(cards, Pagination::new(page, limit, total)))
}

/// A person within other rows.
pub const USER_CARD: Shape = Shape::of(
    "UserCard",
    &[
        Field::uuid("id").required(),
        Field::text("name", "80").required(),
        Field::text("avatarUrl", "300"),
    ],
);

/// A [`USER_CARD`] from a row with `id`, `name` and the avatar's `content_key`.
fn card(call: &Call, row: &sea_orm::QueryResult) -> Result<Value> {
    let key: Option<String> = row.try_get("", "content_key")?;
    Ok(json!({
        "id": row.try_get::<Uuid>("", "id")?,
        "name": row.try_get::<String>("", "name")?,
        "avatarUrl": key.map(|key| address::of(call, &key)),
    }))
}

/// [`USER_CARD`]s of people that are embedded in other rows, by id. One statement; none for no ids.
///
/// # Errors
/// When the database refuses.
pub async fn cards(call: &Call, ids: &[Uuid]) -> Result<HashMap<Uuid, Value>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT u.id, u.name, p.content_key FROM users u LEFT JOIN uploads p ON p.id = u.avatar_id \
               WHERE u.id = ANY ($1)";
    let mut cards = HashMap::new();
    for row in call.rows(sql, [value::uuids(ids)]).await? {
        cards.insert(row.try_get("", "id")?, card(call, &row)?);
    }
    Ok(cards)
}
