//! Fixtures and harnesses that the tests of several crates share.

pub mod decision_record;
pub mod guests;
