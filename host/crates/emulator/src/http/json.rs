//! The API's JSON for the cloud's objects. The shapes are those of digitalocean/openapi.

use doproxy_core::domain::Timestamp;
use serde_json::{Value, json};

use crate::cloud::catalog::{Image, Region, Size, SshKey};
use crate::cloud::{Action, ActionStatus, ApiError, OfferedSize, SimulatedDroplet, TagSummary, catalog};

/// The features of every region.
const FEATURES: [&str; 6] = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"];

/// Renders a droplet at `time`.
pub(super) fn droplet(droplet: &SimulatedDroplet, time: Timestamp) -> Value {
    let mut features = vec!["droplet_agent", "private_networking"];
    features.extend(droplet.monitoring.then_some("monitoring"));
    features.extend(droplet.backups.then_some("backups"));
    features.extend(droplet.ipv6_address.map(|_| "ipv6"));
    json!({
        "id": droplet.id,
        "name": droplet.name,
        "memory": droplet.size.memory_mb,
        "vcpus": droplet.size.vcpus,
        "disk": droplet.size.disk_gb,
        "disk_info": disk_info(droplet.size),
        "locked": false,
        "status": droplet.status_at(time).to_string(),
        "kernel": null,
        "created_at": droplet.created_at.to_string(),
        "features": features,
        "backup_ids": [],
        "next_backup_window": null,
        "snapshot_ids": [],
        "image": image(droplet.image),
        "volume_ids": [],
        "size": size(&OfferedSize { size: droplet.size, regions: droplet.size.regions }),
        "size_slug": droplet.size.slug,
        "networks": networks(droplet, time),
        "region": region(droplet.region),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc_uuid,
    })
}

fn networks(droplet: &SimulatedDroplet, time: Timestamp) -> Value {
    if !droplet.has_addresses_at(time) {
        return json!({ "v4": [], "v6": [] });
    }
    // The private address comes first, and its gateway is this odd text, as recorded from the real API.
    let mut v4 = vec![json!({
        "ip_address": droplet.private_address, "netmask": "255.0.0.0", "gateway": "<nil>", "type": "private",
    })];
    v4.extend(droplet.public_address.map(
        |address| json!({ "ip_address": address, "netmask": "255.254.0.0", "gateway": "198.18.0.1", "type": "public" }),
    ));
    let v6: Vec<Value> = droplet
        .ipv6_address
        .map(|address| json!({ "ip_address": address, "netmask": 64, "gateway": "2001:db8::", "type": "public" }))
        .into_iter()
        .collect();
    json!({ "v4": v4, "v6": v6 })
}

fn disk_info(size: &Size) -> Value {
    json!([{ "type": "local", "size": { "amount": size.disk_gb, "unit": "gib" } }])
}

/// Renders a size with the regions where it is currently available.
pub(super) fn size(offered: &OfferedSize) -> Value {
    let size = offered.size;
    json!({
        "slug": size.slug,
        "memory": size.memory_mb,
        "vcpus": size.vcpus,
        "disk": size.disk_gb,
        "transfer": size.transfer_tb,
        "price_monthly": size.monthly_dollars,
        "price_hourly": size.hourly_price.dollars(),
        "regions": offered.regions,
        "available": !offered.regions.is_empty(),
        "description": size.description,
        "disk_info": disk_info(size),
    })
}

/// Renders a region with its sizes.
pub(super) fn region(region: &Region) -> Value {
    let has = |size: &&Size| region.available && size.regions.contains(&region.slug);
    let sizes: Vec<&str> = catalog::SIZES.iter().filter(has).map(|size| size.slug).collect();
    json!({
        "name": region.name,
        "slug": region.slug,
        "features": FEATURES,
        "available": region.available,
        "sizes": sizes,
    })
}

/// Renders an image.
pub(super) fn image(image: &Image) -> Value {
    let regions: Vec<&str> = catalog::REGIONS.iter().map(|region| region.slug).collect();
    json!({
        "id": image.id,
        "name": image.name,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": true,
        "regions": regions,
        "created_at": image.created_at.to_string(),
        "type": "base",
        "min_disk_size": 7,
        "size_gigabytes": 0.5,
        "description": format!("{} {}", image.distribution, image.name),
        "tags": [],
        "status": "available",
    })
}

/// Renders an action at `time`.
pub(super) fn action(action: &Action, time: Timestamp) -> Value {
    let (status, completed_at) = match action.status_at(time) {
        ActionStatus::InProgress => ("in-progress", None),
        ActionStatus::Completed(at) => ("completed", Some(at.to_string())),
    };
    json!({
        "id": action.id,
        "status": status,
        "type": action.kind,
        "started_at": action.started_at.to_string(),
        "completed_at": completed_at,
        "resource_id": action.droplet,
        "resource_type": "droplet",
        "region": region(action.region),
        "region_slug": action.region.slug,
    })
}

/// Renders a tag.
pub(super) fn tag(tag: &TagSummary, base_url: &str) -> Value {
    let mut droplets = json!({ "count": tag.droplets });
    let mut resources = json!({ "count": tag.droplets });
    if let Some(last) = tag.last {
        let uri = format!("{base_url}/v2/droplets/{last}");
        droplets["last_tagged_uri"] = json!(uri);
        resources["last_tagged_uri"] = json!(uri);
    }
    resources["droplets"] = droplets;
    for nothing in ["images", "volumes", "volume_snapshots", "databases"] {
        resources[nothing] = json!({ "count": 0 });
    }
    json!({ "name": tag.name, "resources": resources })
}

/// Renders an SSH key.
pub(super) fn ssh_key(key: &SshKey) -> Value {
    json!({ "id": key.id, "name": key.name, "fingerprint": key.fingerprint, "public_key": key.public_key })
}

/// Renders the account.
pub(super) fn account(droplet_limit: u32) -> Value {
    json!({ "account": {
        "droplet_limit": droplet_limit,
        "floating_ip_limit": 3,
        "email": "emulator@example.com",
        "name": "Emulator",
        "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
        "email_verified": true,
        "status": "active",
        "status_message": "",
        "team": { "uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "My Team" },
    } })
}

/// Renders the body of an error response; only errors about tags have a different shape.
pub(super) fn error_body(refusal: &ApiError, request_id: &str) -> Value {
    let message = refusal.to_string();
    if let ApiError::InvalidTag(_) = refusal {
        let cause = format!("rpc error: code = InvalidArgument desc = {message}");
        return json!({ "error": message, "messages": null, "root_causes": [cause] });
    }
    json!({ "id": refusal.id(), "message": message, "request_id": request_id })
}
