//! model

pub(crate) mod fluid;
pub(crate) mod requests;
