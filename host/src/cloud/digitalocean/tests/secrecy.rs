//! What is never shown: the token, and where the API is.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::server::{MockServer, respond};
use super::{TOKEN, client, options, request};
use crate::cloud::CloudProvider;
use crate::model::DropletId;

/// Collects what is logged.
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
async fn the_token_is_in_no_error_no_debug_and_no_log_even_when_the_answer_repeats_it() {
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
