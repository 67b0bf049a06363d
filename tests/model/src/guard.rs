//! What keeps the protocol safe, one by one.

use std::fmt;

/// A rule of the protocol that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The intent is in the journal before anything is asked for.
    Intent,
    /// That a request is about to go out is in the journal before it does.
    MarkSent,
    /// A droplet is looked for by its name before it is asked for again.
    LookUpByName,
    /// And that only after the grace.
    GracePeriod,
    /// Which is what this process itself has waited, whatever the clock on the wall says.
    MonotonicClock,
    /// Names are never used twice.
    UniqueName,
    /// What is found by its name has to bear our tag as well.
    TagOnLookUp,
    /// What is deleted has to bear our tag, at that moment.
    TagOnDelete,
    /// What our requests made too much of is deleted.
    CollectDuplicates,
    /// But not the one that we took.
    KeepAdopted,
    /// A 404 counts only where the droplet was shown before.
    ListedBeforeGone,
    /// A delete is over when the API says 404, not when it accepts it.
    DeleteUntilGone,
    /// One process at a time.
    Lock,
}

impl Guard {
    /// All of them.
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
            Self::Intent => "write the intent before the request",
            Self::MarkSent => "write that it is sent before it is",
            Self::LookUpByName => "look for the name before sending again",
            Self::GracePeriod => "wait out the grace before sending again",
            Self::MonotonicClock => "count the grace by one's own clock",
            Self::UniqueName => "never use a name twice",
            Self::TagOnLookUp => "take over only what bears the tag",
            Self::TagOnDelete => "delete only what bears the tag",
            Self::CollectDuplicates => "delete twins",
            Self::KeepAdopted => "spare the one that was taken",
            Self::ListedBeforeGone => "believe a 404 only once it was shown",
            Self::DeleteUntilGone => "delete until 404",
            Self::Lock => "hold the write lock",
        })
    }
}
