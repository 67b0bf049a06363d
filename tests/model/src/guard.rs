//! The safety rules of the protocol.

use std::fmt;

/// A rule of the protocol that can be disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The intent is in the journal before any request.
    Intent,
    /// The journal marks a request as sent before it is sent.
    MarkSent,
    /// A droplet is looked up by its name before the request is repeated.
    LookUpByName,
    /// The request is repeated only after the grace period.
    GracePeriod,
    /// The grace period is measured by the process itself, independently of the wall clock.
    MonotonicClock,
    /// Names are never reused.
    UniqueName,
    /// A droplet found by its name must also have the fleet's tag.
    TagOnLookUp,
    /// A droplet must have the fleet's tag at the moment of its deletion.
    TagOnDelete,
    /// Surplus droplets created by our requests are deleted.
    CollectDuplicates,
    /// The adopted droplet is kept.
    KeepAdopted,
    /// A 404 counts only if the droplet was listed before.
    ListedBeforeGone,
    /// A delete is complete when the API returns 404, not when the API accepts it.
    DeleteUntilGone,
    /// Only one process runs at a time.
    Lock,
}

impl Guard {
    /// All guards.
    pub const ALL: [Self; 13] = [
        Self::Intent,
        Self::MarkSent,
        Self::LookUpByName,
        Self::GracePeriod,
        Self::MonotonicClock,
        Self::UniqueName,
        Self::TagOnLookUp,
        Self::TagOnDelete,
        Self::CollectDuplicates,
        Self::KeepAdopted,
        Self::ListedBeforeGone,
        Self::DeleteUntilGone,
        Self::Lock,
    ];
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intent => "journal the intent before the request",
            Self::MarkSent => "mark the request before it is sent",
            Self::LookUpByName => "look up the name before a retry",
            Self::GracePeriod => "wait for the grace period before a retry",
            Self::MonotonicClock => "measure the grace with the own clock",
            Self::UniqueName => "never reuse a name",
            Self::TagOnLookUp => "adopt only droplets with the tag",
            Self::TagOnDelete => "delete only droplets with the tag",
            Self::CollectDuplicates => "delete duplicates",
            Self::KeepAdopted => "keep the adopted droplet",
            Self::ListedBeforeGone => "trust a 404 only after a listing",
            Self::DeleteUntilGone => "delete until 404",
            Self::Lock => "hold the write lock",
        })
    }
}
