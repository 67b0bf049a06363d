//! Small tools that several crates share: back-off, clock, failpoints, mutexes, subprocesses, TLS, sanitized text,
//! suggestions, private files, reproducible random numbers.

mod backoff;
mod byte_size;
pub mod clock;
pub mod failpoint;
pub mod file;
pub mod private_file;
pub mod sanitize;
mod split_mix;
pub mod subprocess;
mod suggest;
pub mod sync;
pub mod tls;

pub use backoff::Backoff;
pub use byte_size::ByteSize;
pub use clock::Clock;
pub use failpoint::{Aborted, failpoint, failpoint_async};
pub use private_file::current_uid;
pub use sanitize::{sanitize_line, sanitize_words};
pub use split_mix::SplitMix64;
pub use subprocess::RunError;
pub use suggest::suggest;
