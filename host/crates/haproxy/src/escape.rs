//! The rules for text that may appear in HAProxy's configuration.
//!
//! HAProxy's parser breaks lines at LF and CR, words at blanks, starts comments at `#`, and expands `${NAME}` from its
//! environment; `haproxy -c` accepts all of that as valid. Therefore every value that a template prints is checked
//! against these rules, regardless of how the template uses it, and a violation is an error instead of a broken file.

use std::io;
use std::net::IpAddr;

/// Reports whether `text` is a single word to HAProxy without any special characters.
pub(super) fn is_harmless(text: &str) -> bool {
    // Every value of every server passes through here, so a lookup table replaces a search.
    text.bytes().all(|byte| HARMLESS[usize::from(byte)])
}

const HARMLESS: [bool; 256] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-/[]*%?=&~+,@";
    let mut harmless = [false; 256];
    let mut index = 0;
    while index < bytes.len() {
        harmless[bytes[index] as usize] = true;
        index += 1;
    }
    harmless
};

/// Reports whether `text` is also a single word in a command, with the same meaning as in the file.
pub(super) fn is_argument(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| HARMLESS[usize::from(byte)] || b"()".contains(&byte))
}

/// Reports whether HAProxy accepts `text` as a server name (`invalid_char` in its `src/tools.c`).
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Reports whether `text` is an absolute path without special characters.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// Reports whether a droplet can have this address. `0.0.0.0` would mean the client's own destination: a loop.
pub(super) fn is_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

/// Formats an address as HAProxy expects it before `:port`.
pub(super) fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok().filter(|address| is_host(*address));
    match parsed {
        Some(IpAddr::V4(v4)) => Ok(v4.to_string()),
        Some(IpAddr::V6(v6)) => Ok(format!("[{v6}]")),
        None => Err(format!("{text:?} is not the IP address of a host")),
    }
}

/// Returns text that is safe in a comment, with `_` for other characters, limited to 253 characters.
pub(super) fn comment(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().take(253).map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Prints `text` unchanged or fails; Tera calls this for every value that a template prints.
pub(super) fn print(text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    if is_harmless(text) {
        return out.write_all(text.as_bytes());
    }
    Err(io::Error::other(format!("{text:?} is not allowed in HAProxy's configuration")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comment_is_a_single_harmless_word(text in any::<String>()) {
            let comment = comment(&text);

            prop_assert!(comment.len() <= 253);
            prop_assert!(is_harmless(&comment));
        }

        #[test]
        fn printed_text_has_no_special_bytes(text in any::<String>()) {
            let mut out = Vec::new();

            let printed = print(&text, &mut out);

            let special = text.bytes().any(|byte| b" \t\r\n#\\\"'$(){};".contains(&byte) || !byte.is_ascii_graphic());
            prop_assert!(!(special && printed.is_ok()), "{text:?} was printed");
            if printed.is_ok() {
                prop_assert_eq!(out, text.into_bytes());
            }
        }

        #[test]
        fn address_round_trips(v4 in any::<u32>(), v6 in any::<u128>(), old in any::<bool>()) {
            let ip = if old { IpAddr::from(v4.to_be_bytes()) } else { IpAddr::from(v6.to_be_bytes()) };

            match address(&ip.to_string()) {
                Ok(text) => prop_assert_eq!(text.trim_matches(['[', ']']).parse::<IpAddr>().unwrap(), ip),
                Err(_) => prop_assert!(!is_host(ip)),
            }
        }
    }

    #[test]
    fn only_host_addresses_are_accepted() {
        for bad in
            ["", "10.0.1", "10.0.0.1 backup", "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "${X}", "unix@/x", "a.b"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(address("10.0.0.1").as_deref(), Ok("10.0.0.1"));
        assert_eq!(address("fd00::1").as_deref(), Ok("[fd00::1]"));
        assert_eq!(address("[fd00::1]").as_deref(), Ok("[fd00::1]"));
    }
}
