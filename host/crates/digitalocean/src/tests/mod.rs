//! The client against a real socket: its requests, its handling of responses, and its guarantees.

mod faults;
mod lists;
mod reading;
mod redaction;
mod server;

use std::time::Duration;

use doproxy_core::domain::{DropletId, DropletName, Tag, Template, Token, UserData};
use doproxy_core::seams::{CloudProvider, CreateRequest};
use serde_json::{Value, json};

use crate::api_url::ApiUrl;
use crate::digitalocean::DigitalOcean;
use crate::options::{Options, Timeouts};
use crate::retry::Retry;
use crate::tests::server::{MockServer, respond};

const TOKEN: &str = "dop_v1_0123456789abcdef";

fn options(server: &MockServer) -> Options {
    Options {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(5),
            total: Duration::from_secs(20),
        },
        retry: Retry {
            max_attempts: 4,
            initial_backoff: Duration::from_millis(1),
            max_total_backoff: Duration::from_secs(5),
        },
        ..Options::new(ApiUrl::parse(&server.url).unwrap(), Token::parse(TOKEN).unwrap())
    }
}

fn client(server: &MockServer) -> DigitalOcean {
    DigitalOcean::new(options(server)).unwrap()
}

fn name(name: &str) -> DropletName {
    DropletName::parse(name).unwrap()
}

fn tag(tag: &str) -> Tag {
    Tag::parse(tag).unwrap()
}

fn request(names: &[&str]) -> CreateRequest {
    CreateRequest {
        names: names.iter().map(|text| name(text)).collect(),
        template: Template {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-22-04-x64".to_owned(),
            tags: vec![tag("doproxy:www")],
        },
        ssh_keys: vec![],
        user_data: UserData::parse("").unwrap(),
        vpc_uuid: None,
        monitoring: false,
    }
}

/// Returns a minimal droplet.
fn droplet(id: u64, name: &str) -> Value {
    json!({ "id": id, "name": name, "status": "new", "networks": {} })
}

#[tokio::test]
async fn create_body_has_name_or_names() {
    let server = MockServer::scripted([
        respond(202, json!({ "droplet": droplet(1, "web-1"), "links": { "actions": [] } })),
        respond(202, json!({ "droplets": [droplet(3, "web-3"), droplet(2, "web-2")], "links": {} })),
    ])
    .await;
    let client = client(&server);
    let full = CreateRequest {
        ssh_keys: vec!["289794".to_owned(), "3b:16:e4:bf".to_owned()],
        user_data: UserData::parse("#!/bin/sh\ntrue").unwrap(),
        vpc_uuid: Some("760e09ef-dc84-11e8-981e-3cfdfeaae000".to_owned()),
        monitoring: true,
        template: Template { image: "7555620".to_owned(), ..request(&[]).template },
        ..request(&["web-1"])
    };

    let one = client.create(&full).await.unwrap();
    let two = client.create(&request(&["web-2", "web-3"])).await.unwrap();

    assert_eq!(one.iter().map(|droplet| droplet.id).collect::<Vec<_>>(), [DropletId(1)]);
    assert_eq!(two.iter().map(|droplet| droplet.id).collect::<Vec<_>>(), [DropletId(2), DropletId(3)]);
    let bodies: Vec<String> = server.requests().into_iter().map(|seen| seen.body).collect();
    insta::assert_snapshot!(bodies.join("\n"), @r##"    {"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":7555620,"ssh_keys":[289794,"3b:16:e4:bf"],"tags":["doproxy:www"],"user_data":"#!/bin/sh\ntrue","vpc_uuid":"760e09ef-dc84-11e8-981e-3cfdfeaae000","monitoring":true}
    {"names":["web-2","web-3"],"region":"nyc3","size":"s-1vcpu-1gb","image":"ubuntu-22-04-x64","tags":["doproxy:www"]}
    "##);
}

#[tokio::test]
async fn request_has_token_and_user_agent() {
    let server =
        MockServer::scripted([respond(200, json!({ "account": { "droplet_limit": 25, "status": "active" } }))]).await;

    client(&server).account().await.unwrap();

    let head = server.requests()[0].headers.to_lowercase();
    for line in [
        format!("authorization: bearer {TOKEN}"),
        format!("user-agent: doproxy/{}", env!("CARGO_PKG_VERSION")),
        "accept: application/json".to_owned(),
    ] {
        assert!(head.contains(&line), "{line} in {head}");
    }
}

#[tokio::test]
async fn deleting_missing_droplet_succeeds() {
    let server =
        MockServer::scripted([respond(204, ""), respond(404, json!({ "id": "not_found", "message": "gone" }))]).await;
    let client = client(&server);

    client.delete(DropletId(7)).await.unwrap();
    client.delete(DropletId(7)).await.unwrap();

    assert_eq!(server.request_lines(), ["DELETE /v2/droplets/7", "DELETE /v2/droplets/7"]);
}

#[tokio::test]
async fn existing_tag_is_reused() {
    for made in [respond(201, json!({ "tag": {} })), respond(422, json!({ "message": "tag already exists" }))] {
        let server = MockServer::scripted([made, respond(204, "")]).await;

        client(&server).tag(DropletId(7), &tag("doproxy:www")).await.unwrap();

        assert_eq!(server.request_lines(), ["POST /v2/tags", "POST /v2/tags/doproxy:www/resources"]);
        let bodies: Vec<String> = server.requests().into_iter().map(|seen| seen.body).collect();
        assert_eq!(
            bodies,
            [r#"{"name":"doproxy:www"}"#, r#"{"resources":[{"resource_id":"7","resource_type":"droplet"}]}"#]
        );
    }
}

#[tokio::test]
async fn invalid_calls_are_rejected_before_sending() {
    let server = MockServer::scripted([]).await;
    let client = client(&server);
    let eleven: Vec<String> = (0..11).map(|number| format!("web-{number}")).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();

    let errors = [
        client.create(&request(&[])).await.unwrap_err(),
        client.create(&request(&eleven)).await.unwrap_err(),
        client.image("").await.unwrap_err(),
        client.image("..").await.unwrap_err(),
        client.image("x/../../account").await.unwrap_err(),
    ];

    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    POST /v2/droplets failed: 0 names in one request; the limit is 1 to 10
    POST /v2/droplets failed: 11 names in one request; the limit is 1 to 10
    GET /v2/images failed: "" is not an image; a slug consists of letters, digits, '-', '_' and '.'
    GET /v2/images failed: ".." is not an image; a slug consists of letters, digits, '-', '_' and '.'
    GET /v2/images failed: "x/../../account" is not an image; a slug consists of letters, digits, '-', '_' and '.'
    "#);
    assert!(server.request_lines().is_empty());
}
