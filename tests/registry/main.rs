//! Plugins in a registry: end-to-end tests of the program against Debian's docker-registry on this machine.

mod broken;
mod decides;
mod login;
mod other_tools;
mod sharing;
mod trust;
mod workspace;
