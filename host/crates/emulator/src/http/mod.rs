//! The emulator's HTTP API: `router` wraps every call, the other modules answer it.

pub(crate) mod account;
pub(crate) mod control;
pub(crate) mod corrupt;
pub(crate) mod droplets;
pub(crate) mod json;
pub(crate) mod metadata;
pub(crate) mod monitoring;
pub(crate) mod pagination;
pub(crate) mod reply;
pub(crate) mod router;
pub(crate) mod serve;
pub(crate) mod state;
pub(crate) mod tags;
