//! Clients that count every error: nothing is retried, and a connection closed by the server counts as an error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The longest time for any response.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The connection reuse of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    KeptAlive,
    ClosePerRequest,
}

/// Clients that send requests continuously until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<LoadResult>,
    responses: Arc<AtomicUsize>,
}

/// The results of the clients.
#[derive(Debug, Default)]
pub struct LoadResult {
    pub responses: usize,
    /// The number of errors of each kind.
    pub errors: BTreeMap<String, usize>,
}

impl Load {
    /// Starts `count` clients of each kind, which request a page with a delay of `delay` from the site at `port`.
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

    /// Returns the number of responses so far.
    pub fn responses(&self) -> usize {
        self.responses.load(Ordering::Relaxed)
    }

    /// Stops each client after its current request, and returns their results.
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
        match asked.unwrap_or_else(|_| Err("no response".to_owned())) {
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

/// Sends one request on the open connection, or on a new one.
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
            return Err("closed before a response".to_owned());
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
