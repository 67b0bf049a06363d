//! Clients that count every error: nothing is tried again, and a connection that is closed in the client's face counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// No answer takes so long here.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Whether a client goes on with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    KeptAlive,
    ClosePerRequest,
}

/// Clients that ask again and again until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<LoadResult>,
    responses: Arc<AtomicUsize>,
}

/// What clients met.
#[derive(Debug, Default)]
pub struct LoadResult {
    pub responses: usize,
    /// Each kind of error, and how often.
    pub errors: BTreeMap<String, usize>,
}

impl Load {
    /// `count` clients of each kind, which ask the site at `port` for a page that takes `delay`.
    pub fn start(port: u16, count: usize, delay: Duration) -> Self {
        let mut load = Self { stop: Arc::default(), clients: JoinSet::new(), responses: Arc::default() };
        for connection in [Connection::KeptAlive, Connection::ClosePerRequest] {
            for _ in 0..count {
                let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.responses));
                load.clients.spawn(async move { client(port, connection, delay, &stop, &answered).await });
            }
        }
        load
    }

    /// Answers that came so far.
    pub fn responses(&self) -> usize {
        self.responses.load(Ordering::Relaxed)
    }

    /// Lets each client end its last request, and says what they met.
    pub async fn stop(mut self) -> LoadResult {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = LoadResult::default();
        while let Some(of_one) = self.clients.join_next().await {
            let LoadResult { responses: answered, errors } = of_one.unwrap();
            all.responses += answered;
            for (error, times) in errors {
                *all.errors.entry(error).or_default() += times;
            }
        }
        all
    }
}

async fn client(
    port: u16,
    connection: Connection,
    delay: Duration,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> LoadResult {
    let mut counted = LoadResult::default();
    let mut open = None;
    while !stop.load(Ordering::Relaxed) {
        let asked = tokio::time::timeout(TIMEOUT, send_request(&mut open, port, connection, delay)).await;
        match asked.unwrap_or_else(|_| Err("no answer".to_owned())) {
            Ok(()) => {
                counted.responses += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                open = None;
                *counted.errors.entry(format!("{connection:?}: {error}")).or_default() += 1;
            }
        }
    }
    counted
}

/// One request on the open connection, or on a new one.
async fn send_request(
    open: &mut Option<BufReader<TcpStream>>,
    port: u16,
    connection: Connection,
    delay: Duration,
) -> Result<(), String> {
    let mut stream = match open.take() {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?),
    };
    let close = if connection == Connection::ClosePerRequest { "Connection: close\r\n" } else { "" };
    let request = format!("GET /?delay_ms={} HTTP/1.1\r\nHost: site\r\n{close}\r\n", delay.as_millis());
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("sending: {error}"))?;
    let (mut length, mut goes_on) = (0, connection == Connection::KeptAlive);
    let mut line = String::new();
    for number in 0.. {
        line.clear();
        let read = stream.read_line(&mut line).await.map_err(|error| format!("reading: {error}"))?;
        let text = line.trim_end().to_ascii_lowercase();
        if read == 0 {
            return Err("closed before an answer".to_owned());
        } else if number == 0 && !text.contains(" 200 ") {
            return Err(text);
        } else if text.is_empty() {
            break;
        } else if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| text.clone())?;
        } else if text == "connection: close" {
            goes_on = false;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(|error| format!("in the body: {error}"))?;
    if goes_on {
        *open = Some(stream);
    }
    Ok(())
}
