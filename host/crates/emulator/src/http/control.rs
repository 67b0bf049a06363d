//! `/_emulator`: the emulator's own control endpoints, without a token, limits or faults.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::cloud::Faults;
use crate::http::reply::json_response;
use crate::http::state::Shared;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_emulator/faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/_emulator/calls", get(calls).delete(reset_calls))
}

/// `GET /_emulator/faults`: counted faults show the remaining count.
async fn faults(State(shared): State<Arc<Shared>>) -> Response {
    let faults = shared.with_state(|cloud, _| json!(cloud.faults()));
    json_response(StatusCode::OK, &faults)
}

/// `PUT /_emulator/faults`: replaces all existing faults.
async fn set_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Faults>(&body) {
        Ok(faults) => {
            shared.with_state(|cloud, _| cloud.set_faults(faults));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => {
            let message = format!("invalid faults: {error}; GET /_emulator/faults shows the format");
            json_response(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "id": "invalid_faults", "message": message }))
        }
    }
}

/// `DELETE /_emulator/faults`
async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.with_state(|cloud, _| cloud.set_faults(Faults::default()));
    StatusCode::NO_CONTENT
}

/// `GET /_emulator/calls`: the number of requests per API call since the last reset.
async fn calls(State(shared): State<Arc<Shared>>) -> Response {
    let calls: Value = shared.with_state(|cloud, _| {
        let total: u64 = cloud.calls().values().sum();
        json!({ "total": total, "calls": cloud.calls() })
    });
    json_response(StatusCode::OK, &calls)
}

/// `DELETE /_emulator/calls`
async fn reset_calls(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.with_state(|cloud, _| cloud.reset_calls());
    StatusCode::NO_CONTENT
}
