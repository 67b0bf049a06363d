//! Which text may stand in HAProxy's configuration.
//!
//! HAProxy's parser breaks lines at LF and CR, words at blanks, starts comments at `#`, and expands `${NAME}` from
//! its environment; `haproxy -c` finds all that valid. So every value that a template prints is held against these
//! rules, whatever the template does with it, and what does not pass is an error and not a file.

use std::io;
use std::net::IpAddr;

/// Whether `text` is one word to HAProxy and nothing in it means anything.
pub(super) fn is_harmless(text: &str) -> bool {
    // Every value of every server goes through here, so the bytes are looked up and not searched for.
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

/// Whether `text` is one word of a command too, and means there what it means in the file.
pub(super) fn is_argument(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| HARMLESS[usize::from(byte)] || b"()".contains(&byte))
}

/// Whether HAProxy takes `text` as the name of a server (`invalid_char` in its `src/tools.c`).
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

/// Whether `text` is an absolute path without anything special in it.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

/// Whether a droplet can have the address. `0.0.0.0` would mean the client's own destination: a loop.
pub(super) fn is_host(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

/// An address as HAProxy reads it before `:port`.
pub(super) fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok().filter(|address| is_host(*address));
    match parsed {
        Some(IpAddr::V4(v4)) => Ok(v4.to_string()),
        Some(IpAddr::V6(v6)) => Ok(format!("[{v6}]")),
        None => Err(format!("{text:?} is not the IP address of a host")),
    }
}

/// Text that can stand in a comment, with `_` for what cannot, at most 253 characters.
pub(super) fn comment(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().take(253).map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Prints `text` as it is, or fails: what Tera calls for every value that a template prints.
pub(super) fn print(text: &str, out: &mut dyn io::Write) -> io::Result<()> {
    if is_harmless(text) {
        return out.write_all(text.as_bytes());
    }
    Err(io::Error::other(format!("{text:?} must not stand in HAProxy's configuration")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_comment_is_one_harmless_word(text in any::<String>()) {
            let comment = comment(&text);

            prop_assert!(comment.len() <= 253);
            prop_assert!(is_harmless(&comment));
        }

        #[test]
        fn what_is_printed_has_no_byte_that_means_anything(text in any::<String>()) {
            let mut out = Vec::new();

            let printed = print(&text, &mut out);

            let special = text.bytes().any(|byte| b" \t\r\n#\\\"'$(){};".contains(&byte) || !byte.is_ascii_graphic());
            prop_assert!(!(special && printed.is_ok()), "{text:?} was printed");
            if printed.is_ok() {
                prop_assert_eq!(out, text.into_bytes());
            }
        }

        #[test]
        fn an_address_is_printed_as_the_same_address(v4 in any::<u32>(), v6 in any::<u128>(), old in any::<bool>()) {
            let ip = if old { IpAddr::from(v4.to_be_bytes()) } else { IpAddr::from(v6.to_be_bytes()) };

            match address(&ip.to_string()) {
                Ok(text) => prop_assert_eq!(text.trim_matches(['[', ']']).parse::<IpAddr>().unwrap(), ip),
                Err(_) => prop_assert!(!is_host(ip)),
            }
        }
    }

    #[test]
    fn nothing_but_the_address_of_a_host_is_an_address() {
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
