//! Lists: pagination, and malformed pages.

use doproxy_core::domain::DropletId;
use doproxy_core::seams::{CloudProvider, ErrorClass, Filter};
use serde_json::{Value, json};

use crate::tests::server::{MockServer, RecordedRequest, Reply, respond};
use crate::tests::{client, droplet, name, tag};

/// Returns the requested page number.
fn page_of(seen: &RecordedRequest) -> u64 {
    let (_, rest) = seen.request_line.split_once("&page=").unwrap();
    rest.split('&').next().unwrap().parse().unwrap()
}

fn page(droplets: &[Value], total: u64) -> Reply {
    respond(200, json!({ "droplets": droplets, "meta": { "total": total }, "links": {} }))
}

fn www() -> Filter {
    Filter::Tag(tag("doproxy:www"))
}

#[tokio::test]
async fn thousand_droplets_take_five_calls_without_following_links() {
    let elsewhere = MockServer::scripted([]).await;
    let next = elsewhere.url.clone();
    let server = MockServer::responding(move |_, seen| {
        let page = page_of(seen);
        let droplets: Vec<Value> = (200 * (page - 1)..200 * page).map(|id| droplet(id, "web")).collect();
        let links = json!({ "pages": { "next": format!("{next}/v2/droplets?page={}", page + 1) } });
        respond(200, json!({ "droplets": droplets, "meta": { "total": 1000 }, "links": links }))
    })
    .await;

    let found = client(&server).list(&www()).await.unwrap();

    let ids: Vec<u64> = found.iter().map(|droplet| droplet.id.0).collect();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
    let lines: Vec<String> =
        (1..=5).map(|page| format!("GET /v2/droplets?per_page=200&page={page}&tag_name=doproxy%3Awww")).collect();
    assert_eq!(server.request_lines(), lines);
    assert!(elsewhere.request_lines().is_empty());
}

#[tokio::test]
async fn droplet_moved_between_pages_is_listed_once() {
    let first: Vec<Value> = (0..200).map(|id| droplet(id, "web")).collect();
    let second = [droplet(199, "web"), droplet(200, "web")];
    let server = MockServer::scripted([page(&first, 201), page(&second, 202)]).await;

    let found = client(&server).list(&www()).await.unwrap();

    let ids: Vec<u64> = found.iter().map(|droplet| droplet.id.0).collect();
    assert_eq!(ids, (0..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn list_without_total_ends_at_partial_page() {
    let full: Vec<Value> = (0..200).map(|id| droplet(id, "web")).collect();
    for last in [json!({ "droplets": [droplet(200, "web")] }), json!({ "droplets": null, "meta": null })] {
        let server = MockServer::scripted([respond(200, json!({ "droplets": full })), respond(200, last)]).await;

        let found = client(&server).list(&www()).await.unwrap();

        assert!(found.len() >= 200);
        assert_eq!(server.request_lines().len(), 2);
    }
}

#[tokio::test]
async fn endless_list_is_an_error() {
    let repeating = MockServer::responding(|_, _| page(&[droplet(1, "web")], 1000)).await;
    let growing = MockServer::responding(|number, _| page(&[droplet(number as u64, "web")], u64::from(u32::MAX))).await;

    let errors = [client(&repeating).list(&www()).await.unwrap_err(), client(&growing).list(&www()).await.unwrap_err()];

    assert_eq!(repeating.request_lines().len(), 2);
    assert_eq!(errors.each_ref().map(|error| &error.class), [&ErrorClass::Server; 2]);
    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r"
    GET /v2/droplets failed: page 2 repeats the pages before it
    GET /v2/droplets failed: the list does not end within 100 pages
    ");
}

#[tokio::test]
async fn list_with_invalid_droplet_is_rejected() {
    let server =
        MockServer::responding(|_, _| page(&[droplet(1, "web"), json!({ "id": 2, "name": "web-2" })], 2)).await;

    let error = client(&server).list(&www()).await.unwrap_err();

    assert_eq!(error.class, ErrorClass::Server);
    insta::assert_snapshot!(error, @"GET /v2/droplets failed with status 200: failed to parse the response: missing field `status` at line 1 column 87 (after 4 attempts)");
}

#[tokio::test]
async fn list_by_name_excludes_other_names() {
    let server =
        MockServer::scripted([page(&[droplet(1, "web-1"), droplet(2, "other"), droplet(3, "WEB-1")], 3)]).await;

    let found = client(&server).list(&Filter::Name(name("web-1"))).await.unwrap();

    assert_eq!(found.iter().map(|droplet| droplet.id).collect::<Vec<_>>(), [DropletId(1), DropletId(3)]);
    assert_eq!(server.request_lines(), ["GET /v2/droplets?per_page=200&page=1&name=web-1"]);
}
