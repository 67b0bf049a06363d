//! What keeps the protocol safe, one by one.

use std::fmt;

/// A rule of the protocol that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The intent is in the journal before anything is asked for.
    Intent,
    /// That a request is about to go out is in the journal before it does.
    SentMark,
    /// A droplet is looked for by its name before it is asked for again.
    LookUp,
    /// And that only after the grace.
    Grace,
    /// Which is what this process itself has waited, whatever the clock on the wall says.
    OwnClock,
    /// Names are never used twice.
    UniqueName,
    /// What is found by its name has to bear our tag as well.
    TagWhenLooking,
    /// What is deleted has to bear our tag, at that moment.
    TagBeforeDelete,
    /// What our requests made too much of is deleted.
    CollectTwins,
    /// But not the one that we took.
    SpareTheTaken,
    /// A 404 counts only where the droplet was shown before.
    ShownBeforeGone,
    /// A delete is over when the API says 404, not when it accepts it.
    DeleteUntilGone,
    /// One process at a time.
    Lock,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Intent,
        Self::SentMark,
        Self::LookUp,
        Self::Grace,
        Self::OwnClock,
        Self::UniqueName,
        Self::TagWhenLooking,
        Self::TagBeforeDelete,
        Self::CollectTwins,
        Self::SpareTheTaken,
        Self::ShownBeforeGone,
        Self::DeleteUntilGone,
        Self::Lock,
    ];
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intent => "write the intent before the request",
            Self::SentMark => "write that it is sent before it is",
            Self::LookUp => "look for the name before sending again",
            Self::Grace => "wait out the grace before sending again",
            Self::OwnClock => "count the grace by one's own clock",
            Self::UniqueName => "never use a name twice",
            Self::TagWhenLooking => "take over only what bears the tag",
            Self::TagBeforeDelete => "delete only what bears the tag",
            Self::CollectTwins => "delete twins",
            Self::SpareTheTaken => "spare the one that was taken",
            Self::ShownBeforeGone => "believe a 404 only once it was shown",
            Self::DeleteUntilGone => "delete until 404",
            Self::Lock => "hold the write lock",
        })
    }
}
