//! Validation by HAProxy itself: `haproxy -c`.

use std::path::Path;

use crate::error::HaProxyError;
use crate::options::Options;
use crate::reload_command;
use crate::reload_command::{CommandOutput, clean_output};

/// Runs `haproxy -c` on `file`, rendered from `template`. Warnings count as errors because a later HAProxy turns them
/// into errors.
pub(super) async fn validate(options: &Options, file: &Path, text: &str, template: &str) -> Result<(), HaProxyError> {
    let shown = file.to_string_lossy();
    let ended = run_check(options, &["-c", "-dW", "-f", &shown]).await?;
    if ended.status.success() {
        return Ok(());
    }
    let line = first_line_number(&ended.output, &shown);
    let real = options.config_file.to_string_lossy();
    Err(HaProxyError::ConfigRejected {
        template: template.to_owned(),
        line,
        text: line.and_then(|line| text.lines().nth(line.checked_sub(1)?)).map(str::to_owned),
        output: rejection_text(&ended).replace(&*shown, &real),
    })
}

/// Checks that HAProxy would start with an existing file, which doproxy may not have written; warnings do not prevent a
/// start.
pub(super) async fn check_bootable(options: &Options, file: &Path) -> Result<(), HaProxyError> {
    let ended = run_check(options, &["-c", "-f", &file.to_string_lossy()]).await?;
    if ended.status.success() {
        return Ok(());
    }
    Err(HaProxyError::ConfigInvalid { file: file.to_owned(), output: rejection_text(&ended) })
}

async fn run_check(options: &Options, arguments: &[&str]) -> Result<CommandOutput, HaProxyError> {
    reload_command::run(&options.binary, arguments, options.deadlines.check).await.map_err(|error| match error {
        HaProxyError::Run { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            HaProxyError::BinaryMissing(options.binary.clone())
        }
        error => error,
    })
}

/// Returns HAProxy's output, or its exit status if there is none, for example after a kill.
fn rejection_text(ended: &CommandOutput) -> String {
    let output = clean_output(&ended.output);
    if output.is_empty() { ended.status.to_string() } else { output }
}

/// Returns the line number in the first `[FILE:LINE]`.
fn first_line_number(output: &str, file: &str) -> Option<usize> {
    let (_, rest) = output.split_once(&format!("[{file}:"))?;
    rest.split_once(']')?.0.parse().ok()
}
