//! Redaction of the token and of the API's address.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use doproxy_core::domain::DropletId;
use doproxy_core::seams::CloudProvider;
use serde_json::json;

use crate::tests::server::{MockServer, respond};
use crate::tests::{TOKEN, client, options, request};

/// Collects the log output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn token_never_appears_in_errors_debug_or_logs() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = MockServer::responding(|_, seen| {
        let message = format!("no access to http://127.0.0.1/ with these headers: {}", seen.headers);
        respond(403, json!({ "id": "forbidden", "message": message })).with_header("x-request-id", "515850a0-a812")
    })
    .await;
    let client = client(&server);

    let got = client.get(DropletId(7)).await.unwrap_err();
    let created = client.create(&request(&["web-1"])).await.unwrap_err();

    let shown = format!("{got} {got:?} {created} {client:?} {:?} {}", options(&server), log.text());
    assert!(!shown.contains(TOKEN), "{shown}");
    let errors = format!("{got} {got:?} {created}");
    assert!(errors.contains("no access to http://…/") && !errors.contains("127.0.0.1"), "{errors}");
    let logged = log.text();
    for part in ["/v2/droplets/7", "status=403", "515850a0-a812", "attempts=1"] {
        assert!(logged.contains(part), "{part} in {logged}");
    }
}
