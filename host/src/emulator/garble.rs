//! Answers whose body is not what it should be, on purpose.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::api::json_response;
use crate::simulation::cloud::Garble;

/// What stands for the body of an answer that has none.
const NOTHING: &[u8] = b"{}";

/// The answer with another body. One that is an error stays what it is.
pub(super) async fn garbled(response: Response, how: Garble) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // The emulator's own bodies are in memory and never fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = if body.is_empty() { Bytes::from_static(NOTHING) } else { body };
    if head.status == StatusCode::NO_CONTENT && !matches!(how, Garble::WrongContentType | Garble::Unfamiliar) {
        head.status = StatusCode::OK;
    }
    head.headers.remove(CONTENT_LENGTH);
    let half = body.slice(..body.len().div_ceil(2));
    match how {
        Garble::Page => page(head.status, "Please log in"),
        Garble::Malformed => Response::from_parts(head, Body::from(half)),
        Garble::Truncated => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Response::from_parts(head, Body::new(Cut::Whole(half)))
        }
        Garble::WrongContentType if head.status != StatusCode::NO_CONTENT => {
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Response::from_parts(head, Body::from(body))
        }
        Garble::Unfamiliar if head.status != StatusCode::NO_CONTENT => {
            let mut json: Value = serde_json::from_slice(&body).unwrap_or_default();
            estrange(&mut json);
            json_response(head.status, &json)
        }
        Garble::WrongContentType | Garble::Unfamiliar => Response::from_parts(head, Body::empty()),
    }
}

/// An HTML page.
pub(super) fn page(status: StatusCode, title: &str) -> Response {
    let page =
        format!("<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><hr>emulator</body>\n</html>\n");
    (status, Html(page)).into_response()
}

/// Gives droplets a status that no client knows, and both them and the answer fields that none knows.
fn estrange(json: &mut Value) {
    if let Value::Object(fields) = json {
        fields.insert("x_from_the_future".to_owned(), json!({ "since": [2030, null], "kind": "unheard of" }));
        for (key, value) in fields.iter_mut() {
            match (key.as_str(), value) {
                ("droplet", droplet) => strange_status(droplet),
                ("droplets", Value::Array(droplets)) => droplets.iter_mut().for_each(strange_status),
                _ => {}
            }
        }
    }
}

fn strange_status(droplet: &mut Value) {
    if let Value::Object(fields) = droplet {
        fields.insert("status".to_owned(), json!("levitating"));
        fields.insert("x_from_the_future".to_owned(), json!([{ "deep": { "er": 1e300 } }]));
    }
}

/// A body that ends before its length is reached.
enum Cut {
    /// All that will come.
    Whole(Bytes),
    /// It was taken, and should go out before the connection ends.
    Taken,
    Ended,
}

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut *self, Self::Ended) {
            Self::Whole(bytes) => {
                *self = Self::Taken;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Taken => {
                // The server sends what it has whenever it has to wait.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Ended => Poll::Ready(None),
        }
    }
}
