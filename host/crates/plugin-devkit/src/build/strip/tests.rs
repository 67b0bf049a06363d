use super::*;

#[test]
fn strip_removes_only_debug_information() {
    let text = r#"(component
            (core module (@custom "name" "\00\02\01m") (@custom ".debug_info" "line one") (func (export "f")))
            (component (core module (@custom ".debug_line" "1") (memory 1)))
            (@custom "authors" "Ada"))"#;
    let plain = text.replace(r#"(@custom ".debug_info" "line one")"#, "").replace(r#"(@custom ".debug_line" "1")"#, "");

    let stripped = strip(&wat::parse_str(text).unwrap()).unwrap();

    assert_eq!(stripped, wat::parse_str(plain).unwrap());
    assert_eq!(strip(&stripped).unwrap(), stripped);
}

#[test]
fn strip_keeps_truncated_or_foreign_input() {
    let whole = wat::parse_str("(component (core module (memory 1)))").unwrap();

    assert!(strip(b"no wasm, but long enough").is_none());
    for length in 0..whole.len() - 1 {
        // The output is never longer than the input.
        assert!(strip(&whole[..length]).is_none_or(|stripped| stripped.len() <= length), "{length}");
    }
}

#[test]
fn leb128_round_trips() {
    for value in [0, 1, 127, 128, 300, 65_535, 12_000_000] {
        let mut bytes = Vec::new();
        write_leb128(&mut bytes, value);
        assert_eq!(read_leb128(&bytes), Some((value, &[][..])));
    }
}
