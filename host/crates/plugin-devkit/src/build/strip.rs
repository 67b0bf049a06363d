//! Removes debug information from a module or component at any nesting depth. Names remain, because backtraces use
//! them.

/// The sections of a component that contain another binary.
const NESTED_MODULE: u8 = 1;
const NESTED_COMPONENT: u8 = 4;

/// The ID of custom sections.
const CUSTOM: u8 = 0;

const HEADER: usize = 8;

/// Returns `binary` without debug information; `None` if it is not WebAssembly.
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

/// Appends a section.
pub(super) fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    write_leb128(to, content.len());
    to.extend_from_slice(content);
}

/// Appends a custom section.
pub(super) fn custom_section(to: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut named = Vec::with_capacity(name.len() + content.len() + 2);
    write_leb128(&mut named, name.len());
    named.extend_from_slice(name.as_bytes());
    named.extend_from_slice(content);
    section(to, CUSTOM, &named);
}

/// Reports whether a custom section contains DWARF or the location of external DWARF.
fn is_debug(content: &[u8]) -> bool {
    let name = read_leb128(content).and_then(|(length, after)| after.get(..length)).unwrap_or_default();
    name.starts_with(b".debug")
        || name.starts_with(b"reloc..debug")
        || name == b"external_debug_info"
        || name == b"sourceMappingURL"
}

/// Reads an unsigned 32-bit LEB128 number; returns it and the remaining bytes.
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
mod tests;
