//! Parsing of the API's responses.

use doproxy_core::domain::{DropletId, HourlyPrice, Timestamp};
use doproxy_core::seams::{Account, CloudInstance, CloudProvider, Image, Region, Size, SshKey, Status};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tests::client;
use crate::tests::server::{MockServer, respond};
use crate::wire;

#[tokio::test]
async fn droplet_is_parsed() {
    let body = json!({ "droplet": {
        "id": 3_164_444, "name": "web-1", "memory": 1024, "locked": false, "kernel": null, "status": "active",
        "created_at": "2026-07-21T18:37:44Z",
        "networks": {
            "v4": [
                { "ip_address": "10.128.192.124", "netmask": "255.255.0.0", "gateway": "<nil>", "type": "private" },
                { "ip_address": "192.241.165.154", "netmask": "255.255.255.0", "gateway": "192.241.165.1", "type": "public" },
                { "ip_address": "not an address", "type": "private" },
                { "ip_address": "0.0.0.0", "type": "private" },
                { "ip_address": null, "type": "public" }
            ],
            "v6": [{ "ip_address": "2604:a880:0:1010::18a:a001", "netmask": 64, "gateway": "2604::1", "type": "public" }]
        },
        "image": { "id": 7_555_620, "slug": "ubuntu-22-04-x64" },
        "size": { "price_hourly": 0.007_439_999_841_153_62 }, "size_slug": "s-1vcpu-1gb",
        "region": { "slug": "nyc3" }, "tags": ["doproxy:www", null, "web"], "a_field_of_tomorrow": {}
    }});
    let server = MockServer::scripted([respond(200, body)]).await;

    let found = client(&server).get(DropletId(3_164_444)).await.unwrap();

    let expected = CloudInstance {
        id: DropletId(3_164_444),
        name: "web-1".to_owned(),
        status: Status::Active,
        private_addresses: vec!["10.128.192.124".parse().unwrap()],
        public_addresses: vec!["192.241.165.154".parse().unwrap(), "2604:a880:0:1010::18a:a001".parse().unwrap()],
        tags: vec!["doproxy:www".to_owned(), "web".to_owned()],
        size: "s-1vcpu-1gb".to_owned(),
        region: "nyc3".to_owned(),
        image: "ubuntu-22-04-x64".to_owned(),
        hourly_price: HourlyPrice::from_micro_dollars(7440),
        created_at: Some(Timestamp(1_784_659_064_000)),
    };
    assert_eq!(found, expected);
}

#[test]
fn droplet_needs_only_id_name_and_status() {
    let bare = |parts: Value| {
        let mut droplet = json!({ "id": 1, "name": "web-1", "status": "resting" });
        droplet.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        CloudInstance::from(wire::parse::<wire::Droplet>(droplet.to_string().as_bytes()).unwrap())
    };

    let nothing = bare(json!({}));

    assert_eq!(nothing.status, Status::Other("resting".to_owned()));
    for parts in [
        json!({ "networks": {}, "tags": null, "size": null, "size_slug": null, "image": {}, "region": null }),
        json!({ "networks": { "v4": null }, "tags": "x", "size": [], "image": 5, "region": "nyc3", "created_at": "soon" }),
        json!({ "networks": { "v4": [1, null, {}], "v6": 1 }, "created_at": 1, "size_slug": {}, "size": { "price_hourly": "1" } }),
    ] {
        assert_eq!(bare(parts), nothing);
    }
}

#[test]
fn image_without_slug_uses_its_id() {
    let droplet = json!({ "id": 1, "name": "web-1", "status": "new", "image": { "id": 63, "slug": null } });

    let droplet = CloudInstance::from(wire::parse::<wire::Droplet>(droplet.to_string().as_bytes()).unwrap());

    assert_eq!(droplet.image, "63");
}

#[tokio::test]
async fn account_and_catalog_are_parsed() {
    let server = MockServer::responding(|_, seen| {
        let path = seen.request_line.split(['?', ' ']).nth(1).unwrap_or_default();
        respond(
            200,
            match path {
                "/v2/account" => json!({ "account": { "droplet_limit": 25, "status": "active", "email": "a@b.c" } }),
                "/v2/sizes" => json!({ "sizes": [
                    { "slug": "s-1vcpu-1gb", "available": true, "regions": ["nyc3"], "price_hourly": 0.00893 },
                    { "slug": "1gb", "available": false, "regions": null }
                ], "meta": { "total": 2 } }),
                "/v2/regions" => json!({ "regions": [{ "slug": "nyc3", "available": true }], "meta": { "total": 1 } }),
                "/v2/images/63" => {
                    json!({ "image": { "id": 63, "slug": null, "status": "available", "regions": ["nyc3"] } })
                }
                "/v2/account/keys" => {
                    json!({ "ssh_keys": [{ "id": 289_794, "fingerprint": "3b:16" }], "meta": { "total": 1 } })
                }
                _ => panic!("{path}"),
            },
        )
    })
    .await;
    let client = client(&server);

    assert_eq!(client.account().await, Ok(Account { droplet_limit: 25, status: "active".to_owned() }));
    let regions = vec!["nyc3".to_owned()];
    let size = |slug: &str, available, regions, price| Size {
        slug: slug.to_owned(),
        available,
        regions,
        hourly_price: HourlyPrice::from_micro_dollars(price),
    };
    assert_eq!(
        client.sizes().await,
        Ok(vec![size("s-1vcpu-1gb", true, regions.clone(), 8930), size("1gb", false, vec![], 0)])
    );
    assert_eq!(client.regions().await, Ok(vec![Region { slug: "nyc3".to_owned(), available: true }]));
    let image = Image { id: 63, slug: None, status: "available".to_owned(), regions };
    assert_eq!(client.image("63").await, Ok(image));
    assert_eq!(client.ssh_keys().await, Ok(vec![SshKey { id: 289_794, fingerprint: "3b:16".to_owned() }]));
}

/// Generates JSON that resembles the API's, so that parsing gets beyond the first brace.
fn json_like() -> impl Strategy<Value = Value> {
    let keys = proptest::sample::select(vec![
        "droplet",
        "droplets",
        "id",
        "name",
        "status",
        "networks",
        "v4",
        "v6",
        "ip_address",
        "type",
        "tags",
        "size",
        "size_slug",
        "slug",
        "price_hourly",
        "region",
        "image",
        "created_at",
        "meta",
        "total",
        "sizes",
        "account",
        "droplet_limit",
        "regions",
        "ssh_keys",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("private")),
        Just(Value::from("9999-12-31T23:59:59Z")),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_is_parsed_or_rejected(noise in any::<Vec<u8>>(), parts in json_like()) {
        let mut whole = json!({ "id": 1, "name": "web-1", "status": "new" });
        if let Some(parts) = parts.as_object() {
            whole.as_object_mut().unwrap().extend(parts.clone());
        }
        let bodies = [noise, parts.to_string().into(), json!({ "droplet": whole }).to_string().into()];

        for body in &bodies {
            let _ = wire::parse::<wire::CreateResponse>(body).map(wire::CreateResponse::into_droplets);
            let _ = wire::parse::<wire::DropletResponse>(body).map(|one| CloudInstance::from(one.droplet));
            let _ = wire::parse::<wire::Page<wire::Droplet>>(body);
            let _ = wire::parse::<wire::Page<wire::Size>>(body);
            let _ = wire::parse::<wire::AccountResponse>(body);
            let _ = wire::parse::<wire::ImageResponse>(body);
        }
    }
}
