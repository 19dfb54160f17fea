//! Uploaded files: kept in the session's schema, shown under sealed addresses.

use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderValue, header},
};
use bytes::Bytes;
use fault::{Detail, Fault, codes};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sea_orm::{
    ActiveModelBehavior, Condition, DeriveEntityModel, DerivePrimaryKey, DeriveRelation, EntityTrait, EnumIter,
    FromQueryResult, PrimaryKeyTrait,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    auth::opaque,
    closing,
    http::{Answer, Call, Result, Route, Who, body::Raw},
    resource::{Field, ListSpec, Operations, Resource, Row, Spec, create, spec, value},
    sandbox::{address, filetype},
};

/// A row, without the bytes: they are read where they are sent, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "uploads")]
#[expect(missing_docs, reason = "columns are described in docs/contract/core.yaml")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub filename: String,
    pub mime_type: String,
    pub size: i32,
    pub sha256: String,
    pub content_key: String,
    pub alt_text: Option<String>,
    pub owner_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// None is declared: rules join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const MINE: Option<&[Who]> = Some(&[Who::Owner, Who::Staff]);
const ALT_TEXT: Field = Field::text("altText", "200");

impl Resource for Entity {
    const SPEC: Spec = Spec {
        name: "uploads",
        path: "/uploads",
        table: "uploads",
        owner: Some("ownerId"),
        fields: &[
            Field::text("filename", "120").required().server(),
            Field::one_of("mimeType", filetype::ALL).required().server(),
            Field::int("size").required().server(),
            Field::text("sha256", "64").required().server(),
            Field::text("contentKey", "64").required().server().hidden(),
            ALT_TEXT,
            Field::reference("ownerId", "users").server(),
        ],
        versioned: false,
        list: ListSpec {
            filters: &["mimeType"],
            sort: &["createdAt", "size", "filename"],
            search: &["filename", "altText"],
            ..ListSpec::PLAIN
        },
        operations: Operations {
            list: MINE,
            get: Some(&[Who::Public]),
            create: None,
            update: MINE,
            delete: MINE,
        },
    };

    const COMPUTED: &'static [Field] = &[Field::text("url", "300").required()];

    /// Everybody may see every file; lists narrow to one's own.
    async fn visible(call: &Call) -> Result<Condition> {
        Ok(match call.route().operation {
            "list" => spec::owned::<Self>(call),
            _ => Condition::all(),
        })
    }

    async fn deleting(call: &Call, row: &Model) -> Result<()> {
        // Settings that name the file return to their preset, as columns do.
        let sql = "DELETE FROM settings WHERE value = to_jsonb($1::text)";
        call.closing().write(sql, [row.id.to_string().into()]);
        Ok(())
    }

    async fn extend(call: &Call, rows: &mut [Row<Self>], _whole: bool) -> Result<()> {
        for row in rows {
            let url = address::of(call, &row.model.content_key);
            row.json.insert("url".to_owned(), json!(url));
        }
        Ok(())
    }
}

/// Routes besides the standard ones.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/uploads", "upload", upload)
            .who(&[Who::User])
            .file()
            .created()
            .returns(Entity::ROW)
            .errors(&[codes::UPLOAD_QUOTA_REACHED]),
        Route::get("/uploads/content/{key}", "content", content)
            .ignores_bearer()
            .returns_bytes(filetype::ALL),
    ]
}

/// The parts of an upload's form.
struct Form {
    filename: String,
    file: Bytes,
    alt_text: Value,
}

/// Takes a file.
async fn upload(call: Call) -> Result<Answer> {
    let Form {
        filename,
        file,
        alt_text,
    } = form(call.raw()).await?;
    let limit = call.app().limits.file_bytes;
    let size = u64::try_from(file.len()).unwrap_or(u64::MAX);
    if size > limit {
        let message = format!("A file has at most {limit} bytes, this one has {size}.");
        return Err(Fault::new(codes::PAYLOAD_TOO_LARGE, message).into());
    }
    let mime = filetype::of(&file).ok_or_else(|| {
        let message = "Files can be PNG, JPEG, GIF, WebP, PDF, plain text, CSV, MP4 or WebM, judged by their content.";
        Fault::new(codes::UNSUPPORTED_MEDIA_TYPE, message)
    })?;
    reserve(&call, size).await?;
    let sql = "INSERT INTO uploads (id, filename, mime_type, size, sha256, content_key, data, alt_text, owner_id) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               RETURNING id, filename, mime_type, size, sha256, content_key, alt_text, owner_id, created_at, updated_at";
    let values = [
        Uuid::now_v7().into(),
        filename.into(),
        mime.into(),
        i32::try_from(size).unwrap_or(i32::MAX).into(),
        hex::encode(Sha256::digest(&file)).into(),
        opaque::generate()?.into(),
        file.to_vec().into(),
        value::sql(&ALT_TEXT, &alt_text),
        call.user()?.id.into(),
    ];
    let row = call.row(sql, values).await?;
    let row = row.ok_or_else(|| Fault::internal("an insert without a row"))?;
    create::created::<Entity>(&call, Model::from_query_result(&row, "")?).await
}

/// Whether a file of this size still fits the session. Uploads of one session go one after another.
async fn reserve(call: &Call, size: u64) -> Result<()> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    call.run(lock, [format!("uploads:{}", call.tenant().schema).into()])
        .await?;
    let sql = "SELECT count(*) AS rows, coalesce(sum(size), 0) AS bytes FROM uploads";
    let row = call.row(sql, []).await?;
    let row = row.ok_or_else(|| Fault::internal("a count without an answer"))?;
    let number = |column: &str| row.try_get::<i64>("", column).map(|n| u64::try_from(n).unwrap_or(0));
    let limit = call.app().limits.upload_bytes;
    if number("bytes")? + size > limit {
        let message = format!("The files of a preview have at most {limit} bytes together; delete some first.");
        return Err(Fault::new(codes::UPLOAD_QUOTA_REACHED, message).into());
    }
    Ok(closing::room(call, "uploads", number("rows")?)?)
}

/// Reads `multipart/form-data` that has arrived whole.
async fn form(raw: &Raw) -> Result<Form, Fault> {
    let broken =
        |error: &dyn std::fmt::Display| Fault::new(codes::BAD_REQUEST, format!("The form cannot be read: {error}."));
    let request = Request::builder()
        .header(header::CONTENT_TYPE, raw.content_type().unwrap_or_default())
        .body(Body::from(raw.bytes()?.clone()))
        .map_err(Fault::internal)?;
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| broken(&error.body_text()))?;
    let (mut file, mut alt_text, mut details) = (None, None, Vec::new());
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error.body_text()))? {
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(cleaned);
        let bytes = part.bytes().await.map_err(|error| broken(&error.body_text()))?;
        match name.as_str() {
            "file" if file.is_none() => file = Some((filename.unwrap_or_else(|| cleaned("")), bytes)),
            "altText" if alt_text.is_none() => match std::str::from_utf8(&bytes) {
                Ok(sent) => alt_text = value::normalise(&ALT_TEXT, json!(sent), "altText", &mut details),
                Err(_) => details.push(Detail::new(name, "must be UTF-8")),
            },
            "file" | "altText" => details.push(Detail::new(name, "must be sent once")),
            _ => details.push(Detail::new(value::shown(&name), "is not a known field")),
        }
    }
    match &file {
        None => details.push(Detail::new("file", "is required")),
        Some((_, bytes)) if bytes.is_empty() => details.push(Detail::new("file", "must not be empty")),
        Some(_) => {}
    }
    match file {
        Some((filename, file)) if details.is_empty() => Ok(Form {
            filename,
            file,
            alt_text: alt_text.unwrap_or_default(),
        }),
        _ => Err(Fault::invalid(details)),
    }
}

/// A file's name without folders and control characters.
fn cleaned(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).collect();
    let plain: String = plain.trim().chars().take(120).collect();
    if plain.trim_matches('.').is_empty() {
        "file".to_owned()
    } else {
        plain
    }
}

/// Sends a file's bytes, in a way that nothing in them can act.
async fn content(call: Call) -> Result<Answer> {
    let opened = call.app().sealer.open(call.parameter("key"));
    let (_, key) = opened.ok_or_else(Fault::not_found)?;
    let sql = "SELECT filename, mime_type, data FROM uploads WHERE content_key = $1";
    let row = call.row(sql, [key.into()]).await?.ok_or_else(Fault::not_found)?;
    let (filename, mime): (String, String) = (row.try_get("", "filename")?, row.try_get("", "mime_type")?);
    let mime = filetype::ALL.iter().find(|known| **known == mime);
    let mime = mime.ok_or_else(|| Fault::internal("a file of an unknown type"))?;
    let disposition = disposition(mime, &filename);
    let disposition = HeaderValue::from_str(&disposition).map_err(Fault::internal)?;
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    Ok(Answer::binary(mime, row.try_get("", "data")?)
        .header(header::CONTENT_DISPOSITION, disposition)
        .header(header::CONTENT_SECURITY_POLICY, policy))
}

/// Images and videos are shown, all else is saved. The name as in RFC 6266, for old and new clients.
fn disposition(mime: &str, filename: &str) -> String {
    const ATTR: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let kind = if mime.starts_with("image/") || mime.starts_with("video/") {
        "inline"
    } else {
        "attachment"
    };
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || " -_.()".contains(*c);
    let plain: String = filename.chars().map(|c| if is_plain(&c) { c } else { '_' }).collect();
    format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(filename, ATTR)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders_and_what_a_header_cannot_hold() {
        assert_eq!(cleaned("C:\\temp\\..\\photo.png"), "photo.png");
        assert_eq!(cleaned("../../etc/pass\u{0}wd\n"), "passwd");
        for empty in ["", "/", "..", "a/"] {
            assert_eq!(cleaned(empty), "file", "{empty}");
        }
        assert_eq!(
            disposition("application/pdf", "a\"b\r\nö.pdf"),
            "attachment; filename=\"a_b___.pdf\"; filename*=UTF-8''a%22b%0D%0A%C3%B6.pdf"
        );
        assert!(disposition("image/png", "x.png").starts_with("inline; "));
    }
}
