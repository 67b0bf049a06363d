//! reconcile

pub(crate) mod create;
pub(crate) mod elapsed;
pub(crate) mod orphans;
pub(crate) mod pass;
