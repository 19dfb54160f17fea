//! Search everywhere: each module names the collections that can be searched, this finds rows in one of them.

use fault::Fault;
use futures::future::BoxFuture;
use sea_orm::{
    ColumnTrait, ConnectionTrait, QueryFilter, QueryResult, QuerySelect, QueryTrait,
    sea_query::{
        Asterisk, CaseStatement, Expr, ExprTrait, Func, Order, Query, SelectStatement, UnionType, WindowStatement,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    http::{Call, Result, Who},
    resource::{
        Field, Kind, Resource, Shape,
        select::{matches, select},
        spec::find_column,
    },
};

/// The longest title and excerpt.
const LONGEST: usize = 200;
/// Characters before the first match in an excerpt.
const BEFORE: usize = 60;

/// A collection that can be searched.
#[derive(Clone, Copy)]
pub struct Searched {
    /// The feature that opens it.
    pub feature: &'static str,
    /// Its title for people.
    pub title: &'static str,
    /// Who may find anything in it; which rows is told by the collection's own `visible`.
    pub who: &'static [Who],
    fields: Fields,
    select: fn(Call, Fields, Vec<String>) -> BoxFuture<'static, Result<SelectStatement>>,
    resource: &'static str,
}

/// Where a hit takes its parts from.
#[derive(Clone, Copy)]
struct Fields {
    title: &'static str,
    text: &'static str,
    /// An application path with fields in braces.
    path: &'static str,
}

impl Searched {
    /// A collection that everybody may search: the fields with title and text, and the path that opens a row.
    #[must_use]
    pub const fn of<R: Resource>(
        feature: &'static str,
        title: &'static str,
        fields: (&'static str, &'static str),
        path: &'static str,
    ) -> Self {
        Self {
            feature,
            title,
            who: &[Who::Public],
            fields: Fields {
                title: fields.0,
                text: fields.1,
                path,
            },
            select: |call, fields, words| Box::pin(hits::<R>(call, fields, words)),
            resource: R::SPEC.name,
        }
    }

    /// Only these may search it.
    #[must_use]
    pub const fn who(mut self, who: &'static [Who]) -> Self {
        self.who = who;
        self
    }

    /// Whether the caller may find anything in it.
    #[must_use]
    pub fn is_open(&self, call: &Call) -> bool {
        let is_granted = modules::feature(self.feature).is_some_and(|feature| feature.always)
            || call.tenant().enabled.iter().any(|slug| slug == self.feature);
        let may = |who: &Who| match who {
            Who::Public => true,
            Who::User | Who::Owner | Who::Module(_) => call.caller().is_some(),
            Who::Staff => call.is_staff(),
            Who::Admin => call.is_admin(),
        };
        is_granted && self.who.iter().any(may)
    }
}

/// The hits of collections, each with its module, in groups; one statement for all of them.
///
/// # Errors
/// When the database refuses.
pub async fn groups(
    call: &Call,
    searched: &[(&'static str, &'static Searched)],
    words: &[String],
    limit: u64,
) -> Result<Vec<Value>> {
    let mut all: Option<SelectStatement> = None;
    for (i, (_, searched)) in (0..).zip(searched) {
        let mut hits = (searched.select)(call.clone(), searched.fields, words.to_vec()).await?;
        let group: i32 = i;
        hits.expr_as(group, "hit_group").limit(limit);
        let hits = Query::select().column(Asterisk).from_subquery(hits, "hits").to_owned();
        match &mut all {
            None => all = Some(hits),
            Some(all) => {
                all.union(UnionType::All, hits);
            }
        }
    }
    let Some(mut all) = all else { return Ok(Vec::new()) };
    let found = call
        .tx()
        .query_all(all.order_by("hit_group", Order::Asc).order_by("hit_place", Order::Asc))
        .await?;
    let mut groups = Vec::new();
    for (i, (module, searched)) in (0_i32..).zip(searched) {
        let (mut total, mut items) = (0_i64, Vec::new());
        for row in &found {
            if row.try_get::<i32>("", "hit_group")? == i {
                total = row.try_get("", "hits")?;
                items.push(item(searched.fields, row, words)?);
            }
        }
        if total > 0 {
            groups.push(json!({
                "module": module,
                "resource": searched.resource,
                "title": searched.title,
                "total": total,
                "items": items,
            }));
        }
    }
    Ok(groups)
}

/// A group of hits.
pub const GROUP: Shape = Shape::of(
    "SearchGroup",
    &[
        Field::text("module", "20").required(),
        Field::text("resource", "40").required(),
        Field::text("title", "60").required(),
        Field::int("total").required(),
        Field::array("items", &Kind::Object(&HIT)).required(),
    ],
);

const HIT: Shape = Shape::of(
    "SearchHit",
    &[
        Field::uuid("id").required(),
        Field::text("title", "200").required(),
        Field::text("excerpt", "200"),
        Field::text("path", "300").required(),
    ],
);

/// Rows whose title matches come first, then the newest. Matching is that of `q` on the collection's list.
async fn hits<R: Resource>(call: Call, fields: Fields, words: Vec<String>) -> Result<SelectStatement> {
    let column = |name: &str| {
        find_column::<R>(name).ok_or_else(|| Fault::internal(format!("{} has no field {name}", R::SPEC.name)))
    };
    let (id, created) = (column("id")?, column("createdAt")?);
    let mut searched = vec![fields.title, fields.text];
    searched.extend(
        R::SPEC
            .list
            .search
            .iter()
            .filter(|field| **field != fields.title && **field != fields.text),
    );
    let in_title: Expr = CaseStatement::new()
        .case(matches::<R>(&words, &[fields.title]), 0)
        .finally(1)
        .into();
    let places = WindowStatement::new()
        .order_by_expr(in_title, Order::Asc)
        .order_by(created.as_column_ref(), Order::Desc)
        .order_by(id.as_column_ref(), Order::Desc)
        .take();
    let mut query = select::<R>()
        .select_only()
        .column_as(id, "hit_id")
        .filter(R::visible(&call).await?)
        .filter(matches::<R>(&words, &searched))
        .into_query();
    let text = |name: &str| Ok::<_, Fault>(column(name)?.into_expr().cast_as("text"));
    query
        .expr_as(text(fields.title)?, "hit_title")
        .expr_as(text(fields.text)?, "hit_text");
    let named: Vec<Expr> = names(fields.path).into_iter().map(text).collect::<Result<_, _>>()?;
    query
        .expr_as(Func::cust("json_build_array").args(named), "hit_path")
        .expr_as(Expr::cust("count(*) OVER ()"), "hits")
        .expr_window_as(Func::cust("row_number"), places, "hit_place")
        .order_by("hit_place", Order::Asc);
    Ok(query)
}

fn item(fields: Fields, row: &QueryResult, words: &[String]) -> Result<Value> {
    let id: Uuid = row.try_get("", "hit_id")?;
    let (title, text): (Option<String>, Option<String>) = (row.try_get("", "hit_title")?, row.try_get("", "hit_text")?);
    let values: Value = row.try_get("", "hit_path")?;
    let mut path = fields.path.to_owned();
    for (i, name) in names(fields.path).into_iter().enumerate() {
        path = path.replace(&format!("{{{name}}}"), values[i].as_str().unwrap_or_default());
    }
    Ok(json!({
        "id": id,
        "title": title.unwrap_or_default().chars().take(LONGEST).collect::<String>(),
        "excerpt": text.as_deref().map(|text| excerpt(text, words)).filter(|text| !text.is_empty()),
        "path": path,
    }))
}

/// The fields in a path's braces.
fn names(path: &'static str) -> Vec<&'static str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .collect()
}

/// Up to 200 characters of plain text around the first match.
fn excerpt(text: &str, words: &[String]) -> String {
    let letters: Vec<char> = plain(text).chars().collect();
    let lower = |letter: char| letter.to_lowercase().next().unwrap_or(letter);
    let lowered: Vec<char> = letters.iter().copied().map(lower).collect();
    let place = |word: &String| {
        let word: Vec<char> = word.chars().map(lower).collect();
        lowered.windows(word.len().max(1)).position(|window| window == word)
    };
    let first = words.iter().filter_map(place).min().unwrap_or(0);
    // Near the end the window moves back, so that it is filled.
    let start = first
        .saturating_sub(BEFORE)
        .min(letters.len().saturating_sub(LONGEST - 2));
    let is_cut_before = start > 0;
    let room = LONGEST - usize::from(is_cut_before);
    let is_cut_after = letters.len() - start > room;
    let end = (start + room - usize::from(is_cut_after)).min(letters.len());
    let mut excerpt = String::new();
    excerpt.extend(is_cut_before.then_some('…'));
    excerpt.extend(&letters[start..end]);
    excerpt.extend(is_cut_after.then_some('…'));
    excerpt
}

/// Markup taken out, white space brought to single blanks: good enough to read, not a renderer.
fn plain(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    for line in markdown.lines() {
        let line = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '#' | '>'));
        let line = line
            .strip_prefix("- ")
            .or_else(|| line.strip_prefix("* "))
            .unwrap_or(line);
        for word in unlinked(line).split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.extend(word.chars().filter(|c| !matches!(c, '*' | '`')));
        }
    }
    text
}

/// `[text](address)` and `![text](address)` become `text`.
fn unlinked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let Some((label, after)) = rest[open + 1..].split_once("](") else {
            break;
        };
        let Some((_, after)) = after.split_once(')') else {
            break;
        };
        out.push_str(rest[..open].trim_end_matches('!'));
        out.push_str(label);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_fields() {
        assert_eq!(names("/courses/{courseId}/lessons/{id}"), ["courseId", "id"]);
        assert!(names("/faqs").is_empty());
    }

    #[test]
    fn excerpts_are_plain_text() {
        let text = "## Hello\n\n- **Bold** `code` and a [link](/pages/about)\n> quoted ![art](/x.png)!";
        assert_eq!(plain(text), "Hello Bold code and a link quoted art!");
        assert_eq!(
            plain("a [broken link](x and [another"),
            "a [broken link](x and [another"
        );
    }

    #[test]
    fn an_excerpt_lies_around_the_first_match_and_has_200_characters_at_most() {
        let text = format!("{} NEEDLE {}", "hay ".repeat(100), "straw ".repeat(100));
        let words = ["straw".to_owned(), "needle".to_owned()];
        let found = excerpt(&text, &words);
        assert_eq!(found.chars().count(), LONGEST);
        assert!(
            found.starts_with('…') && found.ends_with('…') && found.contains("NEEDLE straw"),
            "{found}"
        );
        assert_eq!(excerpt("short", &["nothing".to_owned()]), "short");
        let end = excerpt(&format!("{}end", "x ".repeat(300)), &["end".to_owned()]);
        assert!(end.chars().count() <= LONGEST && end.ends_with("end"), "{end}");
        assert_eq!(excerpt("ÄÖÜ straße", &["öü".to_owned()]), "ÄÖÜ straße");
    }
}
