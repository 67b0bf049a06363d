//! `http` and `prometheus` against real servers on loopback, valid and faulty.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::sources::http_json::HttpJson;
use crate::sources::prometheus::Prometheus;
use crate::tests::*;

/// The server's reaction to a request.
#[derive(Debug, Clone)]
enum Reply {
    Respond(u16, String),
    Hang,
    Redirect,
}

/// The queries, each with its authorization.
type RequestLog = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A server that always replies the same way and records its requests.
struct MockServer {
    url: String,
    requests: RequestLog,
    task: JoinHandle<()>,
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Reply, RequestLog);

async fn answer(State((play, asked)): State<Shared>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    asked.lock().unwrap().push((query.unwrap_or_default(), authorization));
    match play {
        Reply::Respond(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Reply::Hang => std::future::pending().await,
        Reply::Redirect => (StatusCode::FOUND, [("location", "http://127.0.0.1:1/elsewhere")]).into_response(),
    }
}

impl MockServer {
    async fn replying(play: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::default();
        let router = Router::new().fallback(answer).with_state((play, Arc::clone(&asked)));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, requests: asked, task }
    }

    async fn responding(status: u16, body: impl Into<String>) -> Self {
        Self::replying(Reply::Respond(status, body.into())).await
    }

    fn endpoint(&self, path: &str) -> Endpoint {
        Endpoint::new(&format!("{}{path}", self.url), None, false).unwrap()
    }

    async fn http(&self, pointer: &str, timeout: Duration) -> Result<PollResult, String> {
        let source = HttpJson::new(self.endpoint("/stats?key=secret"), pointer.to_owned(), timeout);
        source.poll(&poll()).await.map_err(|error| error.to_string().replace(&self.url, "URL"))
    }

    async fn prometheus(&self, poll: &Poll) -> Result<PollResult, String> {
        let source = Prometheus::new(&self.endpoint("/prom/"), "sum(up)".to_owned(), Duration::from_secs(5));
        source.poll(poll).await.map_err(|error| error.to_string().replace(&self.url, "URL"))
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn number_is_found_in_document() {
    let server = MockServer::responding(200, r#"{"queue": [{"depth": 12}, {"depth": "7.5"}]}"#).await;

    let number = server.http("/queue/0/depth", TIMEOUT).await.unwrap();
    let text = server.http("/queue/1/depth", TIMEOUT).await.unwrap();

    assert_eq!(samples(number), [(NOW.0, 12.0)]);
    assert_eq!(samples(text), [(NOW.0, 7.5)]);
}

#[tokio::test]
async fn invalid_document_is_reported() {
    let mut messages = Vec::new();
    for (status, body, pointer) in [
        (200, r#"{"a": 1}"#, "/b"),
        (200, r#"{"a": {"b": [1, "\u001b[2J"]}}"#, "/a"),
        (200, r#"{"a": "NaN"}"#, "/a"),
        (200, r#"{"a": "-inf"}"#, "/a"),
        (200, r#"{"a": 1e999}"#, "/a"),
        (200, r#"{"a": null}"#, "/a"),
        (200, "<html>\u{1b}]0;owned\u{7}</html>", "/a"),
        (200, "", "/a"),
        (503, "be\r\nright back, dop_v1_secret", "/a"),
        (404, "", "/a"),
    ] {
        let server = MockServer::responding(status, body).await;
        messages.push(server.http(pointer, TIMEOUT).await.unwrap_err());
    }
    messages.push(MockServer::replying(Reply::Redirect).await.http("/a", TIMEOUT).await.unwrap_err());

    insta::assert_snapshot!(messages.join("\n"), @r#"
    no value at "/b" in the response of URL/stats; it begins with {"a": 1}
    /a of URL/stats is not a number: {"b":[1,"\u001b[2J"]}
    /a of URL/stats is NaN, not a finite number
    /a of URL/stats is -inf, not a finite number
    invalid response from URL/stats: number out of range at line 1 column 11
    /a of URL/stats is not a number: null
    invalid response from URL/stats: expected value at line 1 column 1
    invalid response from URL/stats: EOF while parsing a value at line 1 column 0
    URL/stats returned status 503: be right back, dop_v1_…
    URL/stats returned status 404
    URL/stats returned status 302: redirect not followed; use its target as the url
    "#);
}

#[tokio::test]
async fn slow_large_or_missing_response_is_an_error() {
    let slow = MockServer::replying(Reply::Hang).await.http("/a", Duration::from_millis(50)).await;
    let huge = MockServer::responding(200, format!("[{}0]", "1,".repeat(1 << 20))).await.http("/0", TIMEOUT).await;
    let closed = MockServer::responding(200, "1").await;
    closed.task.abort();
    let gone = Endpoint::new("http://127.0.0.1:1/stats", None, false).unwrap();
    let gone = HttpJson::new(gone, String::new(), TIMEOUT).poll(&poll()).await;

    let messages = [slow.unwrap_err(), huge.unwrap_err(), gone.unwrap_err().to_string()];

    insta::assert_snapshot!(messages.join("\n"), @r"
    no response from URL/stats within 50ms; set a longer `timeout`, or investigate the delay
    the response of URL/stats exceeds 1048576 bytes
    http://127.0.0.1:1/stats: Connection refused (os error 111)
    ");
}

#[tokio::test]
async fn bearer_token_is_reread_and_never_world_readable() {
    let server = MockServer::responding(200, "5").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let endpoint = Endpoint::new(&server.url, Some(file.clone()), false).unwrap();
    let source = HttpJson::new(endpoint, String::new(), TIMEOUT);
    let write = |token: &str, mode: u32| {
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };

    let missing = source.poll(&poll()).await.unwrap_err().to_string();
    write("one\n", 0o600);
    source.poll(&poll()).await.unwrap();
    write("two", 0o640);
    source.poll(&poll()).await.unwrap();
    write("three", 0o644);
    let open = source.poll(&poll()).await.unwrap_err().to_string();
    write("a\nb", 0o600);
    let broken = source.poll(&poll()).await.unwrap_err().to_string();

    let asked: Vec<Option<String>> = server.requests.lock().unwrap().iter().map(|(_, token)| token.clone()).collect();
    assert_eq!(asked, [Some("Bearer one".to_owned()), Some("Bearer two".to_owned())]);
    let messages = [missing, open, broken].join("\n").replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(messages, @r"
    bearer token file DIR/token is unreadable: No such file or directory (os error 2)
    bearer token file DIR/token is world-readable; run `chmod 600 DIR/token`
    bearer token file DIR/token contains no valid token
    ");
}

/// Returns a Prometheus response with this result.
fn matrix(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#)
}

#[tokio::test]
async fn query_covers_only_the_unknown_range() {
    let body = matrix(r#"{"metric":{"__name__":"up"},"values":[[1799999985,"3"],[1800000000,"4.5"]]}"#);
    let server = MockServer::responding(200, body).await;

    let polled = server.prometheus(&poll()).await.unwrap();
    server.prometheus(&Poll { newest: Some(NOW.minus(INTERVAL * 2)), ..poll() }).await.unwrap();
    let nothing_new = server.prometheus(&Poll { newest: Some(NOW), ..poll() }).await.unwrap();

    assert_eq!(samples(polled), [(1_799_999_985_000, 3.0), (1_800_000_000_000, 4.5)]);
    assert_eq!(nothing_new, PollResult::Unchanged);
    let asked: Vec<String> = server.requests.lock().unwrap().iter().map(|(query, _)| query.clone()).collect();
    insta::assert_snapshot!(asked.join("\n"), @r"
    query=sum%28up%29&start=1799999940.000&end=1800000000.000&step=15.000&timeout=5000ms
    query=sum%28up%29&start=1799999985.000&end=1800000000.000&step=15.000&timeout=5000ms
    ");
}

#[tokio::test]
async fn multiple_series_keep_their_labels() {
    let body = matrix(
        r#"{"metric":{"zone":"a","__name__":"q"},"values":[[1800000000,"1"]]},{"metric":{"zone":"b"},"values":[[1800000000,"NaN"],[1799999985,"2"]]}"#,
    );

    let polled = MockServer::responding(200, body).await.prometheus(&poll()).await.unwrap();

    let PollResult::Series(readings) = polled else { panic!("{polled:?}") };
    let labels: Vec<_> = readings.iter().map(|one| (one.labels.clone(), one.samples.len())).collect();
    let zone = |zone: &str| vec![("zone".to_owned(), zone.to_owned())];
    assert_eq!(labels, [(zone("a"), 1), (zone("b"), 1)]);
}

#[tokio::test]
async fn prometheus_errors_are_reported() {
    let many: Vec<String> = (0..51).map(|n| format!(r#"{{"metric":{{"pod":"{n}"}},"values":[[1,"1"]]}}"#)).collect();
    let mut messages = Vec::new();
    for (status, body) in [
        (400, r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected end of input"}"#.to_owned()),
        (503, r#"{"status":"error","errorType":"timeout","error":"query timed out\u001b[31m in expression evaluation"}"#.to_owned()),
        (502, "<html>Bad Gateway</html>".to_owned()),
        (401, "Unauthorized".to_owned()),
        (200, "[]".to_owned()),
        (200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#.to_owned()),
        (200, matrix("")),
        (200, matrix(r#"{"metric":{},"values":[[1800000000,"NaN"],[1799999985,"+Inf"]]}"#)),
        (200, matrix(&many.join(","))),
        (200, matrix(&format!(r#"{{"metric":{{}},"values":[{}[1,"1"]]}}"#, "[1,\"1\"],".repeat(600_000)))),
    ] {
        messages.push(MockServer::responding(status, body).await.prometheus(&poll()).await.unwrap_err());
    }

    insta::assert_snapshot!(messages.join("\n"), @r#"
    Prometheus rejected the query: bad_data: invalid parameter "query": 1:5: parse error: unexpected end of input
    Prometheus rejected the query: timeout: query timed out [31m in expression evaluation
    URL/prom/api/v1/query_range returned status 502
    URL/prom/api/v1/query_range returned status 401
    invalid response from URL/prom/api/v1/query_range: invalid length 0, expected struct QueryResponse with 4 elements at line 1 column 2
    invalid response from URL/prom/api/v1/query_range: expected a matrix, found a scalar
    the query has no data from 2027-01-15T07:59:00Z to 2027-01-15T08:00:00Z
    the query's value is +Inf, not a finite number
    the query returned 51 series, more than the limit of 50; aggregate them, for example with `sum(...)`
    the response of URL/prom/api/v1/query_range exceeds 4194304 bytes
    "#);
}
