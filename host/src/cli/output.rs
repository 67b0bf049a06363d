//! Terminal output: progress, colors and prompts.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use doproxy_controller::{Event, EventSink};
use doproxy_core::domain::redacted;
use doproxy_support::sanitize;
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line of the result to stdout.
macro_rules! out {
    () => { $crate::cli::output::line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}
pub(super) use out;

/// Prints a line to stdout. A reader that stops reading, such as `head`, does not stop the command.
pub(super) fn line(text: std::fmt::Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// Prints lines of untrusted text with terminal control sequences removed.
pub(super) fn untrusted(lines: &str) {
    for one in lines.split('\n') {
        line(format_args!("{}", sanitize::sanitize_line(one, MAX_UNTRUSTED_LINE)));
    }
}

/// Maximum length of an untrusted line; longer lines are truncated.
const MAX_UNTRUSTED_LINE: usize = 100_000;

/// Prints to stdout.
pub(super) fn write(text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(redacted(&text).as_bytes()).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        warn(format_args!("failed to write to stdout: {error}"));
    }
}

/// Reports whether stderr is colored: it is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
pub(super) fn is_colored() -> bool {
    std::io::stderr().is_terminal() && color_enabled()
}

/// Reports whether stdout is colored.
pub(super) fn is_stdout_colored() -> bool {
    std::io::stdout().is_terminal() && color_enabled()
}

/// Reports whether stderr is a terminal that can show progress.
pub(super) fn shows_progress() -> bool {
    std::io::stderr().is_terminal()
}

fn color_enabled() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the prefix of an error message.
pub(super) fn error_prefix() -> &'static str {
    if is_colored() { "\x1b[1;31merror:\x1b[0m" } else { "error:" }
}

/// Returns the prefix of a warning.
fn warning_prefix() -> &'static str {
    if is_colored() { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" }
}

/// Prints a warning to stderr.
pub(super) fn warn(text: impl std::fmt::Display) {
    eprintln!("{} {}", warning_prefix(), redacted(&text.to_string()));
}

/// Prints a note about a side effect of the command to stderr.
pub(super) fn note(text: impl std::fmt::Display) {
    eprintln!("{}", redacted(&text.to_string()));
}

/// Formats an error with its causes. Causes already contained in the text are not repeated, because many errors include
/// theirs.
pub(super) fn format_error(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    redacted(&text).into_owned()
}

/// Formats a count with its noun: `1 droplet`, `2 droplets`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Progress on stderr: on a terminal, lines above an animated status line; otherwise plain lines.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts progress output in the form that stderr supports.
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            // indicatif knows both placeholders, so the plain style is never needed.
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// Prints one line above the status line.
    pub(super) fn println(&self, line: impl std::fmt::Display) {
        let line = line.to_string();
        let line = redacted(&line);
        match &self.bar {
            None => eprintln!("{line}"),
            Some(bar) => {
                bar.println(line);
                bar.set_message("waiting…");
            }
        }
    }

    /// Shows how much of a long computation is complete; only on a terminal.
    pub(super) fn set_progress(&self, done: u64, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done} of {of}"));
        }
    }

    /// Shows the pending event in the status line; only on a terminal.
    pub(super) fn set_message(&self, what: impl std::fmt::Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// Returns a reporter that prints the controller's events.
    pub(super) fn reporter(&self) -> EventSink {
        let progress = self.clone();
        EventSink::new(move |event: &Event| progress.println(event))
    }

    /// Runs `talk`, which uses the terminal itself, with the status line hidden.
    pub(super) fn suspend<T>(&self, talk: impl FnOnce() -> T) -> T {
        match &self.bar {
            None => talk(),
            Some(bar) => bar.suspend(talk),
        }
    }

    /// Removes the status line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Reports whether the user can answer a prompt.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Prompts for y or n; anything but y counts as no.
pub(super) fn confirm(question: &str) -> std::io::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut reply = String::new();
    std::io::stdin().read_line(&mut reply)?;
    Ok(matches!(reply.trim(), "y" | "Y" | "yes"))
}
