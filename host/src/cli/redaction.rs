//! Protects the token inside this process: no core dump, no access to its memory by other processes, and redaction of
//! anything resembling a token in its output, including output from libraries and panics.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use doproxy_core::domain::redacted;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use crate::cli::output;

/// Forbids core dumps and inspection by other processes of the same user. Continues with a warning on systems without
/// support.
pub(super) fn harden_process() {
    let closed = setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| prctl::set_dumpable(false));
    if let Err(error) = closed {
        output::warn(format_args!("failed to disable core dumps, which would contain the API token: {error}"));
    }
}

/// Installs a panic hook that prints the usual panic message with anything resembling a token redacted.
pub(super) fn redact_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let mut text = format!("error: this is a bug in doproxy, please report it: {panic}\n");
        if backtrace.status() == BacktraceStatus::Captured {
            text += &backtrace.to_string();
        }
        // A failed write to stderr cannot be reported anywhere.
        let _ = RedactedStderr.write_all(text.as_bytes());
    }));
}

/// Stderr with anything resembling a token redacted. Each write must contain whole lines, as those of the log do.
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
    fn harden_process_disables_core_dumps_and_tracing() {
        harden_process();

        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        assert_eq!(prctl::get_dumpable(), Ok(false));
    }
}
