//! Plugins in a registry: Debian's own, on this machine, asked by the program as a person runs it.

mod broken;
mod decides;
mod login;
mod other_tools;
mod registry;
mod sharing;
#[path = "../end_to_end/stage.rs"]
#[expect(dead_code, reason = "it is made for the other suite, and most of it is not needed here")]
mod stage;
mod trust;
mod workshop;
