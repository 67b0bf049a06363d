//! A mock server on loopback that sends scripted replies and records its requests.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request as received.
#[derive(Debug, Clone)]
pub(super) struct RecordedRequest {
    /// The index of its connection, from 0.
    pub(super) connection: usize,
    /// The request line, such as `GET /v2/droplets?page=1`.
    pub(super) request_line: String,
    /// The headers, as written by the client.
    pub(super) headers: String,
    pub(super) body: String,
}

/// The server's reaction to a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Responds, and keeps the connection open.
    Respond { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Responds with 200 and this body, and closes the connection without announcing it.
    RespondAndClose(String),
    /// Closes the connection without a response.
    Close,
    /// Closes the connection in the middle of a response with status 202.
    Truncate,
    /// Sends nothing, and keeps the connection open.
    Hang,
}

/// A response body, converted from the types used in tests.
pub(super) struct Body(String);

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Body {
    fn from(json: Value) -> Self {
        Self(json.to_string())
    }
}

pub(super) fn respond(status: u16, body: impl Into<Body>) -> Reply {
    Reply::Respond { status, headers: Vec::new(), body: body.into().0 }
}

impl Reply {
    pub(super) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Respond { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

pub(super) struct MockServer {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    task: JoinHandle<()>,
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MockServer {
    /// Sends one reply after the other, and 418 for any further request.
    pub(super) async fn scripted(plays: impl IntoIterator<Item = Reply>) -> Self {
        let plays: Vec<Reply> = plays.into_iter().collect();
        Self::responding(move |number, _| plays.get(number).cloned().unwrap_or_else(|| respond(418, ""))).await
    }

    /// Calls `play` for each request; requests are numbered from 0.
    pub(super) async fn responding(play: impl Fn(usize, &RecordedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&seen);
        let play = Arc::new(play);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, connection, Arc::clone(&remembered), Arc::clone(&play)));
            }
        });
        Self { url, requests: seen, task }
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn request_lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|seen| seen.request_line).collect()
    }

    /// Returns the number of creates received.
    pub(super) fn create_count(&self) -> usize {
        self.request_lines().iter().filter(|line| *line == "POST /v2/droplets").count()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<RecordedRequest>>>,
    play: Arc<impl Fn(usize, &RecordedRequest) -> Reply>,
) {
    while let Some(request) = read_request(&mut stream, connection).await {
        let play = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            play(seen.len() - 1, &request)
        };
        match play {
            Reply::Respond { status, headers, body } => {
                if stream.write_all(&response_bytes(status, &headers, &body)).await.is_err() {
                    return;
                }
            }
            Reply::RespondAndClose(body) => {
                stream.write_all(&response_bytes(200, &[], &body)).await.unwrap();
                return;
            }
            Reply::Close => return,
            Reply::Truncate => {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000\r\n\r\n{\"droplet\":").await.unwrap();
                return;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}

fn response_bytes(status: u16, headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} \r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    // A 204 response has no body and no length.
    if status != 204 {
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    write!(text, "\r\n{body}").unwrap();
    text.into_bytes()
}

/// Returns `None` if the client has closed the connection.
async fn read_request(stream: &mut TcpStream, connection: usize) -> Option<RecordedRequest> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let (line, head) = text.split_once("\r\n").unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(RecordedRequest {
        connection,
        request_line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        headers: head.to_owned(),
        body: String::from_utf8(bytes[head_end..].to_vec()).unwrap(),
    })
}
