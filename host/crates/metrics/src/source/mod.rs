//! source

pub(crate) mod command;
pub(crate) mod digitalocean;
pub(crate) mod endpoint;
pub(crate) mod http_json;
pub(crate) mod poll;
pub(crate) mod prometheus;
pub(crate) mod text;
