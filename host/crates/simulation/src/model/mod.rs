//! The models of a fleet under load: a fluid, and single requests.

pub(crate) mod fluid;
pub(crate) mod requests;
