use super::*;

#[test]
fn digest_round_trips() {
    let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    assert_eq!(Digest::of(b"abc").to_string(), written);
    assert_eq!(written.parse(), Ok(Digest::of(b"abc")));
}

#[test]
fn parse_rejects_other_forms() {
    let digits = Digest::of(b"abc").hex();
    for text in [
        digits.clone(),
        format!("sha512:{digits}"),
        format!("sha256:{}", digits.to_uppercase()),
        format!("sha256:{digits}0"),
        format!("sha256:{}é", &digits[2..]),
        format!("sha256:+{}", &digits[1..]),
        String::new(),
    ] {
        assert_eq!(text.parse::<Digest>(), Err(InvalidDigest), "{text}");
    }
}
