//! How things look: progress on a terminal and elsewhere, colours, questions.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::controller::{Event, EventSink};
use crate::model::api_token::redacted;
use crate::plugin::sanitize;

/// Prints a line of the result.
macro_rules! say {
    () => { $crate::cli::output::line(format_args!("")) };
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}
pub(super) use say;

/// Prints a line to stdout. Whoever reads it may stop reading, as `head` does: that is no reason to stop working.
pub(super) fn line(text: std::fmt::Arguments<'_>) {
    write(format_args!("{text}\n"));
}

/// Prints lines that hold what a file of somebody else says: nothing in them can command the terminal.
pub(super) fn untrusted(lines: &str) {
    for one in lines.split('\n') {
        line(format_args!("{}", sanitize::sanitize_line(one, MAX_UNTRUSTED_LINE)));
    }
}

/// Longer lines of somebody else are cut.
const MAX_UNTRUSTED_LINE: usize = 100_000;

/// Prints to stdout.
pub(super) fn write(text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(redacted(&text).as_bytes()).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        warn(format_args!("cannot write to stdout: {error}"));
    }
}

/// Whether stderr is coloured: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn is_colored() -> bool {
    std::io::stderr().is_terminal() && color_enabled()
}

/// Whether stdout is coloured.
pub(super) fn is_stdout_colored() -> bool {
    std::io::stdout().is_terminal() && color_enabled()
}

/// Whether somebody watches stderr.
pub(super) fn shows_progress() -> bool {
    std::io::stderr().is_terminal()
}

fn color_enabled() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What stands before an error.
pub(super) fn error_prefix() -> &'static str {
    if is_colored() { "\x1b[1;31merror:\x1b[0m" } else { "error:" }
}

/// What stands before a warning.
fn warning_prefix() -> &'static str {
    if is_colored() { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" }
}

/// Says something that the user should know, on stderr.
pub(super) fn warn(text: impl std::fmt::Display) {
    eprintln!("{} {}", warning_prefix(), redacted(&text.to_string()));
}

/// Says what happens beside what was asked for, on stderr.
pub(super) fn note(text: impl std::fmt::Display) {
    eprintln!("{}", redacted(&text.to_string()));
}

/// An error and what caused it, each said once: many errors say their cause themselves.
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

/// `1 droplet`, `2 droplets`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What happens, for whoever watches: on a terminal lines above one that moves, elsewhere plain lines. Always stderr.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows progress as stderr allows it.
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            // Both placeholders are known to indicatif, so the plain style is never needed.
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar }
    }

    /// Shows one line.
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

    /// Shows how much of a long computation is done; on a terminal only.
    pub(super) fn set_progress(&self, done: u64, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done} of {of}"));
        }
    }

    /// Shows what is waited for, on a terminal only.
    pub(super) fn set_message(&self, what: impl std::fmt::Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// Where the controller's events go.
    pub(super) fn reporter(&self) -> EventSink {
        let progress = self.clone();
        EventSink::new(move |event: &Event| progress.println(event))
    }

    /// Runs something that talks to the user itself, without the moving line.
    pub(super) fn suspend<T>(&self, talk: impl FnOnce() -> T) -> T {
        match &self.bar {
            None => talk(),
            Some(bar) => bar.suspend(talk),
        }
    }

    /// Takes the moving line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether somebody is there to answer a question.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that is answered with y or n; anything but y is no.
pub(super) fn confirm(question: &str) -> std::io::Result<bool> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
