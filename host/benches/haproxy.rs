//! The cost of a configuration change before HAProxy is contacted.

use std::net::IpAddr;

use divan::Bencher;
use doproxy_core::domain::{DropletId, DropletName};
use doproxy_core::seams::{Server, ServerState};
use doproxy_haproxy::{HaProxy, Options};

fn main() {
    divan::main();
}

fn servers(count: u32) -> Vec<Server> {
    (0..count)
        .map(|index| Server {
            id: DropletId(500_000_000 + u64::from(index)),
            hostname: DropletName::parse(format!("auto-nginx-{index}-k3f9tq")).expect("a droplet name"),
            address: IpAddr::from((0x0a00_0001 + index).to_be_bytes()),
            state: ServerState::Serving,
        })
        .collect()
}

/// Renders the template, including filters and validation.
#[divan::bench(args = [100, 1000, 10_000])]
fn render(bencher: Bencher, count: u32) {
    let haproxy = HaProxy::new(Options::new("/etc/haproxy/haproxy.cfg")).expect("the built-in template");
    let servers = servers(count);

    bencher.bench(|| haproxy.render(&servers).expect("a configuration"));
}
