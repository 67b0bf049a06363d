//! The responses of handlers.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::cloud::ApiError;

/// The result of a handler: a status and a body, or an API error.
pub(super) type HandlerResult = Result<Reply, ApiError>;

/// A successful response.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// A status with a JSON body.
    Json(StatusCode, Value),
    /// 204 without a body.
    NoContent,
}

impl Reply {
    /// Returns a 200 response with this body.
    pub(super) fn ok(body: Value) -> Self {
        Self::Json(StatusCode::OK, body)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(status, body) => json_response(status, &body),
            Self::NoContent => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

impl IntoResponse for ApiError {
    /// `middleware` writes the body, because it knows the request ID.
    fn into_response(self) -> Response {
        let mut response = status_of(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) fn status_of(refusal: &ApiError) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns a JSON response with the API's content type.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}
