//! The `doproxy` command.

fn main() {}
