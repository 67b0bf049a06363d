//! A policy's memory, in the bytes that the host hands back: the version of its form, a space, and JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes that the host takes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What was remembered; `None` at first, and where an older or newer release remembered in another form.
pub fn read<T: DeserializeOwned>(version: u32, state: &[u8]) -> Option<T> {
    let (found, memory) = std::str::from_utf8(state).ok()?.split_once(' ')?;
    if found.parse() == Ok(version) { serde_json::from_str(memory).ok() } else { None }
}

/// The bytes to hand on; none, which is a fresh start, where they would be more than the host takes.
pub fn write<T: Serialize>(version: u32, memory: &T) -> Vec<u8> {
    let memory = serde_json::to_string(memory).unwrap_or_default();
    let state = format!("{version} {memory}").into_bytes();
    if state.len() > MAX_BYTES { Vec::new() } else { state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(read::<Vec<u32>>(3, &write(3, &vec![1, 2])), Some(vec![1, 2]));
    }

    #[test]
    fn what_another_release_wrote_is_forgotten() {
        for state in [&b""[..], b"garbage", b"2 [1]", b"3 {}", b"3 ", b"3", b"\xff"] {
            assert_eq!(read::<Vec<u32>>(3, state), None, "{state:?}");
        }
    }

    #[test]
    fn a_state_that_the_host_would_refuse_is_a_fresh_start() {
        assert!(write(1, &vec![0_u8; MAX_BYTES]).is_empty());
    }
}
