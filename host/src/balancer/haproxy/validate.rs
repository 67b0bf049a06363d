//! Asking HAProxy itself: `haproxy -c`.

use std::path::Path;

use super::reload_command::{self, CommandOutput, clean_output};
use super::{HaProxyError, Options};

/// Runs `haproxy -c` over `file`, whose text was made by `template`. Warnings are errors, since they become errors
/// with a later HAProxy.
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

/// Whether HAProxy starts with a file that is there, which may be another's: warnings do not keep it from that.
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

/// HAProxy's own words; how it ended where it said nothing, as when it was killed.
fn rejection_text(ended: &CommandOutput) -> String {
    let said = clean_output(&ended.output);
    if said.is_empty() { ended.status.to_string() } else { said }
}

/// The line in the first `[FILE:LINE]`.
fn first_line_number(output: &str, file: &str) -> Option<usize> {
    let (_, rest) = output.split_once(&format!("[{file}:"))?;
    rest.split_once(']')?.0.parse().ok()
}
