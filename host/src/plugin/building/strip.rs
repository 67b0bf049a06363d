//! Taking debug information out of a module or component, however deep it lies. Names stay: a backtrace is read by them.

/// The sections of a component that hold another binary.
const NESTED_MODULE: u8 = 1;
const NESTED_COMPONENT: u8 = 4;

/// A custom section.
const CUSTOM: u8 = 0;

const HEADER: usize = 8;

/// `binary` without debug information; `None` where it is no WebAssembly.
pub(super) fn strip(binary: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = binary.split_at_checked(HEADER)?;
    if !header.starts_with(b"\0asm") {
        return None;
    }
    let is_component = header[6] == 1;
    let mut stripped = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (length, after) = read_leb128(after)?;
        let (content, after) = after.split_at_checked(length)?;
        rest = after;
        if is_component && (id == NESTED_MODULE || id == NESTED_COMPONENT) {
            section(&mut stripped, id, &strip(content)?);
        } else if id != CUSTOM || !is_debug(content) {
            section(&mut stripped, id, content);
        }
    }
    Some(stripped)
}

/// Adds a section.
pub(super) fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    write_leb128(to, content.len());
    to.extend_from_slice(content);
}

/// Adds a custom section.
pub(super) fn custom_section(to: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut named = Vec::with_capacity(name.len() + content.len() + 2);
    write_leb128(&mut named, name.len());
    named.extend_from_slice(name.as_bytes());
    named.extend_from_slice(content);
    section(to, CUSTOM, &named);
}

/// Whether a custom section is of DWARF, or says where DWARF lies.
fn is_debug(content: &[u8]) -> bool {
    let name = read_leb128(content).and_then(|(length, after)| after.get(..length)).unwrap_or_default();
    name.starts_with(b".debug")
        || name.starts_with(b"reloc..debug")
        || name == b"external_debug_info"
        || name == b"sourceMappingURL"
}

/// An unsigned LEB128 number of 32 bits, and what comes after it.
fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (place, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(place + 1..)?));
        }
    }
    None
}

fn write_leb128(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            to.push(byte);
            return;
        }
        to.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_information_goes_and_everything_else_stays_where_it_was() {
        let text = r#"(component
            (core module (@custom "name" "\00\02\01m") (@custom ".debug_info" "line one") (func (export "f")))
            (component (core module (@custom ".debug_line" "1") (memory 1)))
            (@custom "authors" "Ada"))"#;
        let plain =
            text.replace(r#"(@custom ".debug_info" "line one")"#, "").replace(r#"(@custom ".debug_line" "1")"#, "");

        let stripped = strip(&wat::parse_str(text).unwrap()).unwrap();

        assert_eq!(stripped, wat::parse_str(plain).unwrap());
        assert_eq!(strip(&stripped).unwrap(), stripped);
    }

    #[test]
    fn what_is_cut_off_or_no_webassembly_is_left_alone() {
        let whole = wat::parse_str("(component (core module (memory 1)))").unwrap();

        assert!(strip(b"no wasm, but long enough").is_none());
        for length in 0..whole.len() - 1 {
            // It is never longer than what came in.
            assert!(strip(&whole[..length]).is_none_or(|stripped| stripped.len() <= length), "{length}");
        }
    }

    #[test]
    fn numbers_read_back_as_they_were_written() {
        for value in [0, 1, 127, 128, 300, 65_535, 12_000_000] {
            let mut bytes = Vec::new();
            write_leb128(&mut bytes, value);
            assert_eq!(read_leb128(&bytes), Some((value, &[][..])));
        }
    }
}
