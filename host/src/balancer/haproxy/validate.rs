//! Asking HAProxy itself: `haproxy -c`.

use std::path::Path;

use super::command::{self, cleaned};
use super::{HaProxyError, Options};

/// Runs `haproxy -c` over `file`, whose text was made by `template`. Warnings are errors, since they become errors
/// with a later HAProxy.
pub(super) async fn validate(options: &Options, file: &Path, text: &str, template: &str) -> Result<(), HaProxyError> {
    let shown = file.to_string_lossy();
    let ended = command::run(&options.binary, &["-c", "-dW", "-f", &shown], options.deadlines.check).await;
    let ended = ended.map_err(|error| match error {
        HaProxyError::Run { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            HaProxyError::BinaryMissing(options.binary.clone())
        }
        error => error,
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let line = first_line_number(&ended.output, &shown);
    let real = options.config_file.to_string_lossy();
    Err(HaProxyError::Refused {
        template: template.to_owned(),
        line,
        text: line.and_then(|line| text.lines().nth(line.checked_sub(1)?)).map(str::to_owned),
        output: cleaned(&ended.output.replace(&*shown, &real)),
    })
}

/// The line in the first `[FILE:LINE]`.
fn first_line_number(output: &str, file: &str) -> Option<usize> {
    let (_, rest) = output.split_once(&format!("[{file}:"))?;
    rest.split_once(']')?.0.parse().ok()
}
