//! The text of the configuration.

use super::rig::options;
use crate::balancer::ServerState::{Draining, Warming};
use crate::balancer::haproxy::fixtures::{server, server_that_is};
use crate::balancer::haproxy::{HaProxy, Options};
use crate::model::FleetName;

#[test]
fn the_built_in_configuration_reads_well() {
    let options =
        Options { fleet: Some(FleetName::parse("www").unwrap()), ..Options::new("/etc/haproxy/haproxy.cfg") };
    let haproxy = HaProxy::new(options).unwrap();

    let text = haproxy.render(&[server_that_is(Warming, 502_000_002), server(502_000_001)]).unwrap();

    insta::assert_snapshot!(text, @"");
}

#[tokio::test]
async fn haproxy_accepts_the_built_in_configuration_with_every_option() {
    let (_dir, options) = options().await;
    let debian = Options::new("/etc/haproxy/haproxy.cfg");
    let full = Options {
        metrics: Some("127.0.0.1:8404".into()),
        bind: vec!["*:80".into(), "[::1]:8080".into()],
        log: debian.log,
        run_as: debian.run_as,
        ..options.clone()
    };
    let mut six = server(6);
    six.address = "fd00::6".parse().unwrap();

    HaProxy::new(full).unwrap().check(&[server(7), server_that_is(Draining, 8), six]).await.unwrap();
    HaProxy::new(options).unwrap().check(&[]).await.unwrap();
}
