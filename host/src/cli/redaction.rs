//! What keeps the token inside this process: no core dump, no look at its memory, and nothing that looks like a token
//! in what it says, whoever made it say so.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use super::output;
use crate::model::api_token::redacted;

/// Forbids core dumps, and other processes of the same user to look inside. A system that cannot is no reason to stop.
pub(super) fn harden_process() {
    let closed = setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| prctl::set_dumpable(false));
    if let Err(error) = closed {
        output::warn(format_args!("cannot forbid core dumps, which would hold the API token: {error}"));
    }
}

/// Panics say what they always say, without what looks like a token.
pub(super) fn redact_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let mut text = format!("error: this is a defect of doproxy, please report it: {panic}\n");
        if backtrace.status() == BacktraceStatus::Captured {
            text += &backtrace.to_string();
        }
        // There is nobody left to tell.
        let _ = RedactedStderr.write_all(text.as_bytes());
    }));
}

/// Stderr, without what looks like a token. Each write holds a whole line or more, as the log's do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RedactedStderr;

impl Write for RedactedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(redacted(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn a_closed_process_leaves_no_core_and_lets_nobody_look_inside() {
        harden_process();

        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        assert_eq!(prctl::get_dumpable(), Ok(false));
    }
}
