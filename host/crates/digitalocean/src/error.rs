//! Classification of error responses, and their messages.
//!
//! The class depends on the HTTP status, never on the API's `id` strings, whose spelling has changed over the years;
//! only 422 needs the message, because that status covers four kinds of rejection.

use std::error::Error;
use std::time::Duration;

use doproxy_core::domain::redacted;
use doproxy_core::seams::ErrorClass;
use doproxy_support::sanitize_words;
use serde_json::Value;

use crate::options::Timeouts;

/// Maximum characters of a message from outside.
const MAX_MESSAGE: usize = 300;

/// Returns the class of an unsuccessful HTTP status. `asked` is the delay requested by the API.
pub(super) fn classify(status: u16, message: &str, asked: Option<Duration>) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Unauthorized,
        404 => ErrorClass::NotFound,
        422 => classify_unprocessable(message),
        429 => ErrorClass::RateLimited { retry_after: asked },
        // A server that timed out (408) may have executed the request.
        408 | 500.. => ErrorClass::Server,
        _ => ErrorClass::InvalidRequest,
    }
}

/// Classifies messages observed in practice: "creating this/these droplet(s) will exceed your droplet limit", "Size is
/// not available in this region", "Region is not available", "Please try again", "Droplet already has a pending event."
fn classify_unprocessable(message: &str) -> ErrorClass {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["droplet limit"]) || (says(&["exceed"]) && says(&["limit"])) {
        ErrorClass::LimitExceeded
    } else if says(&["size", "region", "capacity"])
        && says(&["not available", "not currently available", "unavailable", "sold out", "out of stock", "no capacity"])
    {
        ErrorClass::Unavailable
    } else if says(&["try again", "pending event"]) {
        ErrorClass::TryAgain
    } else {
        ErrorClass::InvalidRequest
    }
}

/// The content of an error body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The message; empty if there is none.
    pub(super) message: String,
    /// The request ID, if the body contains it.
    pub(super) request_id: Option<String>,
}

/// Parses an error body: `{id, message, request_id?}`, or `{error, messages, root_causes}` from the tag endpoints, or
/// the output of a proxy in between.
pub(super) fn parse_error_body(body: &[u8]) -> ErrorBody {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return ErrorBody { message: summary(text), request_id: None };
    };
    let string = |key: &str| json.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let several = || {
        let messages = json.get("messages").and_then(Value::as_array)?;
        let messages: Vec<&str> = messages.iter().filter_map(Value::as_str).collect();
        (!messages.is_empty()).then(|| messages.join("; "))
    };
    let message = string("message")
        .map(str::to_owned)
        .or_else(several)
        .or_else(|| string("error").map(str::to_owned))
        .or_else(|| string("id").map(str::to_owned));
    ErrorBody { message: message.unwrap_or_default(), request_id: string("request_id").map(str::to_owned) }
}

/// Summarizes a body that is not the API's: its title if it is HTML, otherwise its beginning.
fn summary(text: &str) -> String {
    if !text.starts_with('<') {
        return text.chars().take(MAX_MESSAGE).collect();
    }
    // ASCII lowercasing preserves byte positions.
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|tag| {
        let start = tag + lower.get(tag..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find('<')?;
        text.get(start..end).map(str::trim).filter(|title| !title.is_empty())
    });
    match title {
        Some(title) => format!("an HTML page, {title:?}"),
        None => "an HTML page".to_owned(),
    }
}

/// Sanitizes text from outside for display: one line, no control characters, bounded, and without `hidden`.
pub(super) fn sanitize(text: &str, hidden: &[&str]) -> String {
    let mut text = text.to_owned();
    for hidden in hidden.iter().filter(|hidden| !hidden.is_empty()) {
        text = text.replace(hidden, "…");
    }
    sanitize_words(&redacted(&text), MAX_MESSAGE)
}

/// Returns a request ID that is safe to display; `None` if it does not look like one.
pub(super) fn valid_request_id(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    (!text.is_empty() && text.len() <= 128 && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Describes a missing response. Only the root cause is included; the outer layers repeat it, or the address.
pub(super) fn transport_error(error: &reqwest::Error, timeouts: Timeouts) -> (ErrorClass, String) {
    let sent = !(error.is_connect() || error.is_builder());
    let Timeouts { connect, read, total } = timeouts;
    let message = match (error.is_timeout(), sent) {
        (true, false) => format!("no connection within {connect:?}"),
        (true, true) => format!("no response in time (at most {read:?} without data, {total:?} in total)"),
        (false, false) if error.is_dns() => format!("failed to resolve the host name: {}", root_cause(error)),
        (false, false) => format!("no connection: {}", root_cause(error)),
        (false, true) => format!("connection closed before the response was complete: {}", root_cause(error)),
    };
    (ErrorClass::Transport { sent }, message)
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn status_determines_class_except_for_422() {
        let after = Some(Duration::from_secs(3));
        for (status, message, class) in [
            (400, "", ErrorClass::InvalidRequest),
            (401, "", ErrorClass::Unauthorized),
            (403, "", ErrorClass::Unauthorized),
            (404, "", ErrorClass::NotFound),
            (408, "", ErrorClass::Server),
            (409, "", ErrorClass::InvalidRequest),
            (429, "", ErrorClass::RateLimited { retry_after: after }),
            (500, "", ErrorClass::Server),
            (503, "please try again", ErrorClass::Server),
            (302, "", ErrorClass::InvalidRequest),
            (422, "creating this/these droplet(s) will exceed your droplet limit", ErrorClass::LimitExceeded),
            (422, "Size is not available in this region.", ErrorClass::Unavailable),
            (422, "Region is not available", ErrorClass::Unavailable),
            (422, "The image you specified is not available in the selected region", ErrorClass::Unavailable),
            (422, "Region is unavailable, try again later", ErrorClass::Unavailable),
            (422, "Droplet create event failed, please try again", ErrorClass::TryAgain),
            (422, "Droplet already has a pending event.", ErrorClass::TryAgain),
            (422, "You specified an invalid size for Droplet creation.", ErrorClass::InvalidRequest),
            (422, "1, 2 are invalid key identifiers for Droplet creation.", ErrorClass::InvalidRequest),
        ] {
            assert_eq!(classify(status, message, after), class, "{status} {message}");
        }
    }

    #[test]
    fn all_error_body_shapes_are_parsed() {
        for (body, message, request_id) in [
            (
                r#"{"id":"not_found","message":"The resource was not found.","request_id":"a-1"}"#,
                "The resource was not found.",
                Some("a-1"),
            ),
            (
                r#"{"error":"bad request","messages":["name is invalid","name is too long"],"root_causes":[]}"#,
                "name is invalid; name is too long",
                None,
            ),
            (r#"{"error":"bad request","messages":null,"root_causes":null}"#, "bad request", None),
            (r#"{"id":"server_error","message":null}"#, "server_error", None),
            ("<!DOCTYPE html><TITLE>502 Bad Gateway</TITLE><h1>x</h1>", "an HTML page, \"502 Bad Gateway\"", None),
            ("<html>oops</html>", "an HTML page", None),
            ("upstream connect error", "upstream connect error", None),
            ("[1]", "", None),
            ("", "", None),
        ] {
            let expected = ErrorBody { message: message.to_owned(), request_id: request_id.map(str::to_owned) };

            assert_eq!(parse_error_body(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn hidden_text_is_removed() {
        let text =
            sanitize("token dop_v1_secret\r\nis\u{1b}[31m bad for api.example", &["dop_v1_secret", "api.example"]);

        assert_eq!(text, "token … is [31m bad for …");
    }

    #[test]
    fn invalid_request_id_is_dropped() {
        assert_eq!(
            valid_request_id("515850a0-a812-50bf-aa3c-d0d21d287e40").as_deref(),
            Some("515850a0-a812-50bf-aa3c-d0d21d287e40")
        );
        assert_eq!(valid_request_id("a\u{1b}[2J"), None);
        assert_eq!(valid_request_id(""), None);
    }

    proptest! {
        #[test]
        fn any_body_yields_one_bounded_line(body in any::<Vec<u8>>(), markup in "<[a-z/<>= ]{0,40}(<title>)?.{0,400}") {
            for body in [body.as_slice(), markup.as_bytes()] {
                let line = sanitize(&parse_error_body(body).message, &["secret"]);

                prop_assert!(line.chars().count() <= MAX_MESSAGE + 1);
                prop_assert!(!line.chars().any(char::is_control));
                prop_assert!(!line.contains("secret"));
            }
        }
    }
}
