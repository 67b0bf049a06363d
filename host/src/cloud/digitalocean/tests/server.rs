//! A server on loopback that plays what it is told and remembers what it was asked.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which connection it came by, from 0.
    pub(super) connection: usize,
    /// Such as `GET /v2/droplets?page=1`.
    pub(super) line: String,
    /// Headers, as they were written.
    pub(super) head: String,
    pub(super) body: String,
}

/// What the server does with a request that it has read.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// Answers, and keeps the connection.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Answers with 200 and this, and closes the connection without having said so.
    AnswerAndClose(String),
    /// Closes the connection without a word.
    Close,
    /// Closes it in the middle of an answer with status 202.
    Cut,
    /// Says nothing, and keeps the connection.
    Silence,
}

/// Text to answer with, from what tests have at hand.
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

pub(super) fn answer(status: u16, body: impl Into<Body>) -> Play {
    Play::Answer { status, headers: Vec::new(), body: body.into().0 }
}

impl Play {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Plays one after the other, and answers 418 when it is asked more often.
    pub(super) async fn playing(plays: impl IntoIterator<Item = Play>) -> Self {
        let plays: Vec<Play> = plays.into_iter().collect();
        Self::answering(move |number, _| plays.get(number).cloned().unwrap_or_else(|| answer(418, ""))).await
    }

    /// Asks `play` for each request; requests are numbered from 0.
    pub(super) async fn answering(play: impl Fn(usize, &Seen) -> Play + Send + Sync + 'static) -> Self {
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
        Self { url, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// How many creates arrived.
    pub(super) fn creates(&self) -> usize {
        self.lines().iter().filter(|line| *line == "POST /v2/droplets").count()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    play: Arc<impl Fn(usize, &Seen) -> Play>,
) {
    while let Some(request) = read_request(&mut stream, connection).await {
        let play = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            play(seen.len() - 1, &request)
        };
        match play {
            Play::Answer { status, headers, body } => {
                if stream.write_all(&answer_bytes(status, &headers, &body)).await.is_err() {
                    return;
                }
            }
            Play::AnswerAndClose(body) => {
                stream.write_all(&answer_bytes(200, &[], &body)).await.unwrap();
                return;
            }
            Play::Close => return,
            Play::Cut => {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 1000\r\n\r\n{\"droplet\":").await.unwrap();
                return;
            }
            Play::Silence => std::future::pending().await,
        }
    }
}

fn answer_bytes(status: u16, headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} \r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    // An answer 204 has no body and no length.
    if status != 204 {
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    write!(text, "\r\n{body}").unwrap();
    text.into_bytes()
}

/// `None` when the other side has closed the connection.
async fn read_request(stream: &mut TcpStream, connection: usize) -> Option<Seen> {
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
    Some(Seen {
        connection,
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        head: head.to_owned(),
        body: String::from_utf8(bytes[head_end..].to_vec()).unwrap(),
    })
}
