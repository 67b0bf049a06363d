//! From the registry to a decision: a signed policy, referenced by its tag, scales a fleet behind a real HAProxy.

use crate::workspace::{Workspace, digest_of};
use doproxy_test_support::environment::TestEnvironment;
use doproxy_test_support::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn signed_policy_keeps_deciding_without_its_registry() {
    let mut registry = Registry::start().await;
    let (author, env) = (Workspace::new(), TestEnvironment::new().await);
    let tag = registry.oci_reference("acme/queue:1");
    author.run_ok(&["plugin", "keygen"]).await;
    author.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    env.write("release.pub", &std::fs::read_to_string(author.path("plugin.pub")).unwrap());
    env.configure(&format!(
        "  min: 2
  policies: [{{plugin: \"{tag}\", config: {{metric: haproxy.sessions, target_per_droplet: 4}}}}]
plugins: {{store: store, trust: [{{repository: \"{}/acme/queue\", keys: [release.pub]}}]}}
",
        registry.address()
    ));

    let checked = env.doproxy(&["check"]).await;
    let decided = env.run_ok(&["run", "--once", "--window", "100ms"]).await;
    let lock = std::fs::read_to_string(env.path("doproxy.lock")).unwrap();
    // A third party without a key moves the tag.
    let moved = author.push("queue2.wasm", &tag).await;
    env.run_ok(&["run", "--once", "--window", "100ms"]).await;
    let refused = env.doproxy(&["plugin", "update"]).await;
    registry.stop().await;
    env.run_ok(&["run", "--once", "--window", "100ms"]).await;

    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains(&tag), "{}", checked.stdout);
    assert!(decided.contains("decision") && decided.contains("0 → 2"), "{decided}");
    assert_eq!(env.billed().len(), 2);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("is not signed"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(env.path("doproxy.lock")).unwrap(), lock);
    assert!(!lock.contains(digest_of(&moved)));
    env.tear_down().await;
}
