//! Plugins in a registry: end-to-end tests of the program against Debian's docker-registry on this machine.

mod broken;
mod decides;
mod login;
mod other_tools;
mod registry;
mod sharing;
#[path = "../end_to_end/stage.rs"]
#[expect(dead_code, reason = "shared with another suite, which uses the rest")]
mod stage;
mod trust;
mod workshop;
