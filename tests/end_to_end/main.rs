//! The program as a person runs it: real binary, real HAProxy, and the DigitalOcean API on this machine.

mod bad_input;
mod doproxy_defects;
mod secrets;
mod stage;
mod tutorial;
