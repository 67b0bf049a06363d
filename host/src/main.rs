//! The `doproxy` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    doproxy::cli::main()
}
