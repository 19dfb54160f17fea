//! Routes: those of the contract are served, those served are in the contract, and each is open with its feature only.

use std::collections::BTreeSet;

use anyhow::Result;
use modules::Selection;

use super::{
    book::Book,
    report::{Report, code},
};
use crate::harness::App;

/// Method, path with parameters by position, and name.
type Line = (String, String, String);

fn line(method: &http::Method, path: &str, name: String) -> Line {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    (method.to_string(), segments.collect::<Vec<_>>().join("/"), name)
}

#[tokio::test]
async fn every_route_of_the_contract_is_served_and_no_other() -> Result<()> {
    let (book, app) = (Book::read()?, App::start(&[]).await?);
    let promised: BTreeSet<Line> = book
        .endpoints()
        .iter()
        .map(|endpoint| line(&endpoint.method, &endpoint.path, endpoint.name()))
        .collect();
    let served: BTreeSet<Line> = app
        .server()
        .routes
        .iter()
        .map(|route| {
            let name = format!("{}.{}.{}", route.module, route.resource, route.operation);
            line(&route.method, &route.path, name)
        })
        .collect();
    let missing: Vec<_> = promised.difference(&served).collect();
    let unknown: Vec<_> = served.difference(&promised).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not served: {missing:#?}\nnot in the contract: {unknown:#?}"
    );
    assert!(promised.len() > 140, "{}", promised.len());
    let keyed: BTreeSet<String> = book
        .resources()
        .flat_map(|(contract, resource)| {
            let keyed = resource.actions.iter().filter(|action| action.idempotent);
            keyed.map(|action| format!("{}.{}.{}", contract.module, resource.name, action.name))
        })
        .collect();
    let routes = app.server().routes.iter().filter(|route| route.idempotent);
    let served: BTreeSet<String> = routes
        .map(|route| format!("{}.{}.{}", route.module, route.resource, route.operation))
        .collect();
    assert_eq!(served, keyed, "actions that take an Idempotency-Key");
    Ok(())
}

#[tokio::test]
async fn each_route_is_open_with_its_feature_only() -> Result<()> {
    let (book, app) = (Book::read()?, App::start(&[]).await?);
    let (admin, mut report) = (app.admin().await?, Report::default());
    let mut grants: Vec<Vec<&str>> = vec![Vec::new()];
    let all = book.contracts().iter().flat_map(|contract| &contract.features);
    grants.extend(
        all.filter(|feature| !feature.always)
            .map(|feature| vec![feature.slug.as_str()]),
    );
    for granted in grants {
        app.grant(&granted).await?;
        let open = Selection::of(granted.iter().copied())?.enabled;
        for endpoint in book.endpoints() {
            let feature = endpoint.resource.feature.as_str();
            let is_open = open.contains(&feature) || modules::feature(feature).is_some_and(|feature| feature.always);
            // Nothing is touched: a path that no row has, and a field that no body has.
            if endpoint.parameters().is_empty() && endpoint.method == http::Method::DELETE {
                continue;
            }
            let body = if endpoint.method == http::Method::GET {
                ""
            } else {
                "{\"nope\":1}"
            };
            let path = endpoint.nowhere();
            let reply = admin
                .raw(endpoint.method.clone(), &path, "application/json", body)
                .await?;
            let is_closed = reply.status() == 404 && code(&reply) == "FEATURE_NOT_AVAILABLE";
            report.expect(is_open != is_closed, || {
                format!("{} with {granted:?}: {}", endpoint.name(), reply.status())
            });
        }
    }
    report.finish(500);
    Ok(())
}
