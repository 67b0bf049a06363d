//! The metric sources: each polls one system and returns samples.

pub(crate) mod command;
pub(crate) mod digitalocean;
pub(crate) mod endpoint;
pub(crate) mod http_json;
pub(crate) mod poll;
pub(crate) mod prometheus;
pub(crate) mod source;
pub(crate) mod text;
