use super::*;

#[test]
fn selectors_parse_numbers_offsets_and_ranges() {
    for (text, read) in [("12", "12"), ("last", "-1"), ("-3", "-3"), ("10..last", "10..-1"), ("all", "all")] {
        assert_eq!(text.parse::<RecordRange>().unwrap().to_string(), read);
    }
}

#[test]
fn anything_else_is_rejected() {
    for text in ["", "0", "-0", "1..", "..", "-", "1.5", "first", "1...3"] {
        assert!(text.parse::<RecordRange>().is_err(), "{text}");
    }
}
