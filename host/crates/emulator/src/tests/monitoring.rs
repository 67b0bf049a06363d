//! The metrics of a droplet, as the API writes them and as the client parses them.

use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp, Token};
use doproxy_digitalocean as digitalocean;
use doproxy_digitalocean::{DigitalOcean, DropletMetric, MeasuredSeries};
use reqwest::StatusCode;

use crate::cloud::NewDroplets;
use crate::tests::schemas::assert_conforms;
use crate::tests::{TestEmulator, options, start};

/// Creates a droplet of this age, with or without the agent.
fn droplet(running: &TestEmulator, age: Duration, monitoring: bool) -> (DropletId, Timestamp) {
    running.emulator.with_state(|cloud, now| {
        let request = NewDroplets {
            names: vec!["web".to_owned()],
            size: "s-1vcpu-1gb".to_owned(),
            image: "debian-12-x64".to_owned(),
            monitoring,
            ..NewDroplets::default()
        };
        (cloud.create(now.minus(age), &request).unwrap()[0].droplet, now)
    })
}

fn client(running: &TestEmulator) -> DigitalOcean {
    let url = running.emulator.url().parse().unwrap();
    DigitalOcean::new(digitalocean::Options::new(url, Token::parse("any").unwrap())).unwrap()
}

#[tokio::test]
async fn metrics_have_the_published_shape() {
    let running = start(options()).await;
    let (id, now) = droplet(&running, Duration::from_hours(1), true);
    let (start, end) = (now.0 / 1000 - 900, now.0 / 1000);

    for (metric, name) in [("cpu", "droplet_cpu_metric_response"), ("load_1", "metric_response")] {
        let path = format!("/v2/monitoring/metrics/droplet/{metric}?host_id={id}&start={start}&end={end}");
        let response = running.get(&path).await;

        assert_eq!(response.status, StatusCode::OK, "{}", response.body);
        assert_conforms(name, &response.body);
        assert_eq!(response.body["data"]["result"][0]["metric"]["host_id"], id.to_string());
        assert!(response.body["data"]["result"][0]["values"].as_array().unwrap().len() >= 7);
    }
    for bad in ["?start=1&end=2", "?host_id=x&start=1&end=2", "?host_id=1&start=now&end=2"] {
        assert_eq!(running.get(&format!("/v2/monitoring/metrics/droplet/cpu{bad}")).await.status, 422, "{bad}");
    }
    let unknown = format!("/v2/monitoring/metrics/droplet/taste?host_id={id}&start=1&end=2");
    assert_eq!(running.get(&unknown).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn counters_of_all_modes_grow_over_time() {
    let running = start(options()).await;
    let (id, now) = droplet(&running, Duration::from_hours(1), true);

    let measured =
        client(&running).droplet_metric(DropletMetric::Cpu, id, now.minus(Duration::from_mins(15)), now).await;

    let measured = measured.unwrap();
    let modes: Vec<&str> = measured.iter().map(|series| series.labels["mode"].as_str()).collect();
    assert_eq!(modes, ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]);
    let grown = |series: &MeasuredSeries| series.samples.last().unwrap().value - series.samples[0].value;
    let span = measured[0].samples.last().unwrap().at.since(measured[0].samples[0].at).as_secs_f64();
    assert!((measured.iter().map(grown).sum::<f64>() - span).abs() < 0.1);
}

#[tokio::test]
async fn droplet_without_agent_has_no_metrics() {
    let running = start(options()).await;
    let (id, now) = droplet(&running, Duration::from_hours(1), false);

    for id in [id, DropletId(1)] {
        let measured =
            client(&running).droplet_metric(DropletMetric::Load1, id, now.minus(Duration::from_hours(1)), now).await;

        assert_eq!(measured, Ok(Vec::new()));
    }
}
