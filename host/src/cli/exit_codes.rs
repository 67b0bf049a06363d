//! The exit codes, as documented in `docs/reference/exit-codes.md`.

/// The command succeeded.
pub(super) const SUCCESS: u8 = 0;

/// The command failed, or found a problem.
pub(super) const FAILURE: u8 = 1;

/// The arguments or the configuration are wrong. clap exits with this code, too.
pub(super) const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    const REFERENCE: &str = include_str!("../../../docs/reference/exit-codes.md");

    #[test]
    fn codes_are_those_of_reference() {
        let documented: Vec<u8> =
            REFERENCE.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")?.0.parse().ok()).collect();

        assert_eq!(documented, [SUCCESS, FAILURE, USAGE]);
    }

    #[test]
    fn codes_are_those_of_help() {
        let help = Cli::command().render_long_help().to_string();
        let line = format!("Exit codes: {SUCCESS} success, {FAILURE} failure, {USAGE} usage or configuration error.");

        assert!(help.contains(&line), "{help}");
    }

    #[test]
    fn wrong_argument_is_usage_error() {
        let error = Cli::try_parse_from(["doproxy", "check", "--wrong"]).unwrap_err();

        assert_eq!(error.exit_code(), i32::from(USAGE));
    }
}
