//! Responses with deliberately corrupt bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use hyper::body::Frame;
use serde_json::{Value, json};

use crate::cloud::CorruptBody;
use crate::http::reply::json_response;

/// The stand-in for the body of a response that has none.
const EMPTY_BODY: &[u8] = b"{}";

/// Replaces the body of a successful response. An error response is returned unchanged.
pub(super) async fn corrupt_body(response: Response, kind: CorruptBody) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // The emulator's own bodies are in memory and never fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = if body.is_empty() { Bytes::from_static(EMPTY_BODY) } else { body };
    if head.status == StatusCode::NO_CONTENT && !matches!(kind, CorruptBody::WrongContentType | CorruptBody::Unfamiliar)
    {
        head.status = StatusCode::OK;
    }
    head.headers.remove(CONTENT_LENGTH);
    let half = body.slice(..body.len().div_ceil(2));
    match kind {
        CorruptBody::Page => page(head.status, "Please log in"),
        CorruptBody::Malformed => Response::from_parts(head, Body::from(half)),
        CorruptBody::Truncated => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Response::from_parts(head, Body::new(TruncatedBody::Unsent(half)))
        }
        CorruptBody::WrongContentType if head.status != StatusCode::NO_CONTENT => {
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Response::from_parts(head, Body::from(body))
        }
        CorruptBody::Unfamiliar if head.status != StatusCode::NO_CONTENT => {
            let mut json: Value = serde_json::from_slice(&body).unwrap_or_default();
            mismatch_schema(&mut json);
            json_response(head.status, &json)
        }
        CorruptBody::WrongContentType | CorruptBody::Unfamiliar => Response::from_parts(head, Body::empty()),
    }
}

/// An HTML page.
pub(super) fn page(status: StatusCode, title: &str) -> Response {
    let page =
        format!("<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1><hr>emulator</body>\n</html>\n");
    (status, Html(page)).into_response()
}

/// Gives droplets a status that no client knows, and adds unknown fields to the droplets and to the response.
fn mismatch_schema(json: &mut Value) {
    if let Value::Object(fields) = json {
        fields.insert("x_from_the_future".to_owned(), json!({ "since": [2030, null], "kind": "unheard of" }));
        for (key, value) in fields.iter_mut() {
            match (key.as_str(), value) {
                ("droplet", droplet) => set_unknown_status(droplet),
                ("droplets", Value::Array(droplets)) => droplets.iter_mut().for_each(set_unknown_status),
                _ => {}
            }
        }
    }
}

fn set_unknown_status(droplet: &mut Value) {
    if let Value::Object(fields) = droplet {
        fields.insert("status".to_owned(), json!("levitating"));
        fields.insert("x_from_the_future".to_owned(), json!([{ "deep": { "er": 1e300 } }]));
    }
}

/// A body that ends before its declared length.
enum TruncatedBody {
    /// The complete data, not sent yet.
    Unsent(Bytes),
    /// Handed to the server, which should send it before the connection ends.
    Sent,
    Closed,
}

impl hyper::body::Body for TruncatedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut *self, Self::Closed) {
            Self::Unsent(bytes) => {
                *self = Self::Sent;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Sent => {
                // The server flushes its buffer whenever it has to wait.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Closed => Poll::Ready(None),
        }
    }
}
