//! Who may call what: all kinds of callers against all routes, with requests that change nothing.

use anyhow::Result;
use http::Method;
use tenant_api::modules::ROLES;
use testkit::Api;

use super::{
    book::{Book, Endpoint, Takes, somebody},
    report::{Report, details, short},
};
use crate::harness::App;

/// A caller, with the words of the contract that fit.
struct Caller {
    name: String,
    api: Api,
    words: Vec<String>,
    is_admin: bool,
}

fn caller(name: &str, api: Api, words: &[&str]) -> Caller {
    Caller {
        name: name.to_owned(),
        api,
        words: words.iter().map(|&word| word.to_owned()).collect(),
        is_admin: name == "an admin",
    }
}

/// Which of 401 and 403 the role alone leads to.
fn refusal(endpoint: &Endpoint<'_>, caller: &Caller) -> Option<u16> {
    let is_let_in = |word: &String| {
        let role = endpoint.contract.roles.get(word);
        // A role that no account has, such as holding a cart, is looked for in the row.
        let is_about_rows = role.is_some_and(|role| {
            let name = format!("{}.{word}", endpoint.contract.module);
            role.scope == "row" && !ROLES.iter().any(|role| role.name == name)
        });
        // Such a list answers everybody who is signed in, with what one may see (README section 6).
        let is_open_list = role.is_some_and(|role| role.scope == "row")
            && endpoint.operation == "list"
            && endpoint.parameters().is_empty()
            && caller.words.iter().any(|word| word == "user");
        caller.words.contains(word) || is_about_rows || is_open_list
    };
    if caller.is_admin || endpoint.who.iter().any(is_let_in) {
        None
    } else if caller.words.iter().any(|word| word == "user") {
        Some(403)
    } else {
        Some(401)
    }
}

#[tokio::test]
async fn each_route_lets_in_whom_the_contract_names() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let mut callers = vec![
        caller("a visitor", app.visitor().clone(), &["public"]),
        caller("a user", somebody(&app, None).await?, &["public", "user", "owner"]),
        caller("staff", app.staff().await?, &["public", "user", "owner", "staff"]),
        caller("an admin", app.admin().await?, &[]),
    ];
    for role in ROLES {
        let word = role.name.rsplit('.').next().unwrap_or_default();
        let api = somebody(&app, Some(role.name)).await?;
        callers.push(caller(role.name, api, &["public", "user", "owner", word]));
    }
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        for caller in &callers {
            let what = format!("{} by {}", endpoint.name(), caller.name);
            let is_get = endpoint.method == Method::GET;
            let body = if is_get { "" } else { "{\"nope\":1}" };
            let path = endpoint.nowhere();
            let reply = caller
                .api
                .raw(endpoint.method.clone(), &path, "application/json", body)
                .await?;
            let status = reply.status().as_u16();
            match refusal(&endpoint, caller) {
                Some(401) => report.refusal(&what, &reply, 401, "UNAUTHORIZED"),
                Some(_) => report.refusal(&what, &reply, 403, "FORBIDDEN"),
                // The role comes before the body, the body before the row.
                None if matches!(endpoint.takes, Takes::Json(_)) => {
                    let is_named = status == 422 && details(&reply).iter().any(|field| field == "nope");
                    report.expect(is_named, || format!("{what}: not 422 on nope: {}", short(&reply)))
                }
                None => report.expect(!matches!(status, 400 | 401 | 403 | 405 | 500..), || {
                    format!("{what}: {}", short(&reply))
                }),
            };
        }
    }
    report.finish(700);
    Ok(())
}

#[tokio::test]
async fn rows_of_others_are_out_of_reach() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        let (Some(table), Some(owner)) = (&endpoint.resource.table, &endpoint.resource.owner) else {
            continue;
        };
        let is_own_matter = endpoint.is_for(&["owner"]) && !endpoint.is_for(&["public", "user"]);
        if !is_own_matter || endpoint.parameters() != ["id"] {
            continue;
        }
        let column = testkit::contract::snake(owner);
        // Somebody's row, for somebody else who holds no role.
        let sql = format!(
            "SELECT t.id, (SELECT email FROM users u WHERE u.role = 'USER' AND u.id <> t.{column} \
             AND NOT EXISTS (SELECT 1 FROM ({held}) AS held(x)) ORDER BY email LIMIT 1) \
             FROM {table} t WHERE t.{column} IS NOT NULL LIMIT 1",
            held = ROLES
                .iter()
                .map(|role| role.held)
                .collect::<Vec<_>>()
                .join(" UNION ALL "),
        );
        let found = app.sql(&sql).await?;
        let Some([Some(id), Some(email)]) = found.first().map(Vec::as_slice) else {
            continue;
        };
        let stranger = app.sign_in(email).await?;
        let path = endpoint.path.replace("{id}", id);
        let body = if matches!(endpoint.takes, Takes::Json(_)) {
            "{}"
        } else {
            ""
        };
        let reply = stranger
            .raw(endpoint.method.clone(), &path, "application/json", body)
            .await?;
        let status = reply.status().as_u16();
        // One that may be seen is 403, one that may not is 404; a body that wants more is refused before that.
        report.expect(matches!(status, 403 | 404), || {
            format!("{} of somebody else: {}", endpoint.name(), short(&reply))
        });
    }
    report.finish(15);
    Ok(())
}
