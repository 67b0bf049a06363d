//! The program as a person runs it: real binary, real HAProxy, and the DigitalOcean API on this machine.

mod bad_input;
mod doproxy_defects;
mod fault_matrix;
mod fault_words;
mod invariants;
mod inventory_faults;
mod io_faults;
mod metrics;
mod secrets;
mod stage;
mod tutorial;
mod wall_clock;
