//! Encoding of a policy's state: the format version, a space, and JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The host's size limit of a state, in bytes.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::state;
///
/// assert!(state::write(1, &vec![0_u8; 1000]).len() < state::MAX_BYTES);
/// ```
pub const MAX_BYTES: usize = 64 * 1024;

/// Decodes a state; `None` if there is none or if another release wrote it in a different format.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::state;
///
/// let state = state::write(2, &vec![40, 44]);
///
/// assert_eq!(state::read::<Vec<u32>>(2, &state), Some(vec![40, 44]));
/// // A policy whose format changed starts again without a state.
/// assert_eq!(state::read::<Vec<u32>>(3, &state), None);
/// ```
pub fn read<T: DeserializeOwned>(version: u32, state: &[u8]) -> Option<T> {
    let (found, memory) = std::str::from_utf8(state).ok()?.split_once(' ')?;
    if found.parse() == Ok(version) { serde_json::from_str(memory).ok() } else { None }
}

/// Encodes a state; empty, which resets it, if it would exceed the host's limit.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::state;
///
/// assert_eq!(state::write(2, &vec![40, 44]), b"2 [40,44]");
/// ```
pub fn write<T: Serialize>(version: u32, memory: &T) -> Vec<u8> {
    let memory = serde_json::to_string(memory).unwrap_or_default();
    let state = format!("{version} {memory}").into_bytes();
    if state.len() > MAX_BYTES { Vec::new() } else { state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_state_is_read_back() {
        assert_eq!(read::<Vec<u32>>(3, &write(3, &vec![1, 2])), Some(vec![1, 2]));
    }

    #[test]
    fn state_of_another_version_is_discarded() {
        for state in [&b""[..], b"garbage", b"2 [1]", b"3 {}", b"3 ", b"3", b"\xff"] {
            assert_eq!(read::<Vec<u32>>(3, state), None, "{state:?}");
        }
    }

    #[test]
    fn oversized_state_is_reset() {
        assert!(write(1, &vec![0_u8; MAX_BYTES]).is_empty());
    }
}
