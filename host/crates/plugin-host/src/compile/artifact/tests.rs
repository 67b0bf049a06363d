use super::*;

fn framed(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame, FrameKind::Code, content).unwrap();
    frame
}

#[test]
fn frame_round_trips() {
    let frame = framed(b"code");

    let Some(CompileOutcome::Code(compiled)) = read(frame.clone()) else { panic!("{frame:?}") };

    assert_eq!(compiled.frame(), frame);
    assert_eq!(frame[HEADER_LEN..], *b"code");
}

#[test]
fn read_rejects_any_damaged_frame() {
    let whole = framed(b"machine code");

    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(!matches!(read(flipped), Some(CompileOutcome::Code(_))), "byte {at}, bit {bit}");
        }
        assert!(read(whole[..at].to_vec()).is_none(), "{at}");
    }
    assert!(read([whole.as_slice(), b"!"].concat()).is_none());
}
