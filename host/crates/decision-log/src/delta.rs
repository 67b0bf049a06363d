//! The difference between two similar contents: the parts of the new one that are copied from the old one, and the
//! parts that are new. From one tick to the next little changes, mostly in place, so a match is first searched where
//! the last copy would continue, and only then elsewhere.
//!
//! A difference is a sequence of: the number of new bytes, these bytes, the number of copied bytes, and the distance
//! from where the last copy would continue. Numbers are LEB128, the last one zigzag-encoded.

/// Minimum length of a copy that continues the last one; encoding it takes three bytes.
const MIN_IN_PLACE_COPY: usize = 4;

/// Minimum length of a copy from elsewhere, and the number of bytes that are hashed.
const MIN_COPY: usize = 10;

/// Returns the difference that turns `old` into `new`.
pub(super) fn diff(old: &[u8], new: &[u8]) -> Vec<u8> {
    let index = Index::new(old);
    let mut written = Vec::with_capacity(256);
    // `new[fresh..at]` is not written yet; `old[next]` is the byte with which the last copy would continue.
    let (mut at, mut fresh, mut next) = (0, 0, 0);
    while at < new.len() {
        let in_place = next + (at - fresh);
        let (from, length) = match common_prefix(old, in_place, new, at) {
            length if length >= MIN_IN_PLACE_COPY => (in_place, length),
            _ => {
                if let Some(found) = index.find(old, new, at) {
                    found
                } else {
                    at += 1;
                    continue;
                }
            }
        };
        write_length(&mut written, at - fresh);
        written.extend_from_slice(&new[fresh..at]);
        write_length(&mut written, length);
        write_offset(&mut written, from, in_place);
        at += length;
        (fresh, next) = (at, from + length);
    }
    if fresh < new.len() {
        write_length(&mut written, new.len() - fresh);
        written.extend_from_slice(&new[fresh..]);
    }
    written
}

/// Applies a difference to the old content. `None` if the difference does not belong to this content, or if the result
/// exceeds `most` bytes.
pub(super) fn apply(old: &[u8], difference: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut rest = difference;
    let (mut new, mut next) = (Vec::new(), 0_usize);
    while !rest.is_empty() {
        let fresh = read_length(&mut rest)?;
        let (bytes, after) = rest.split_at_checked(fresh)?;
        rest = after;
        new.extend_from_slice(bytes);
        if rest.is_empty() {
            break;
        }
        let length = read_length(&mut rest)?;
        let from = read_offset(&mut rest, next.checked_add(fresh)?)?;
        let end = from.checked_add(length)?;
        if new.len().checked_add(length)? > most {
            return None;
        }
        new.extend_from_slice(old.get(from..end)?);
        next = end;
    }
    (new.len() <= most).then_some(new)
}

/// Returns the number of equal bytes from two positions on.
fn common_prefix(old: &[u8], from: usize, new: &[u8], at: usize) -> usize {
    let (old, new) = (old.get(from..).unwrap_or_default(), new.get(at..).unwrap_or_default());
    old.iter().zip(new).take_while(|(old, new)| old == new).count()
}

/// Positions in the old content by the hash of the bytes there.
struct Index(Vec<u32>);

/// No position.
const NO_POSITION: u32 = u32::MAX;

impl Index {
    fn new(old: &[u8]) -> Self {
        let mut places = vec![NO_POSITION; (old.len() * 2).next_power_of_two().max(64)];
        let mask = places.len() - 1;
        // From the end, so that the first of equal sequences is found.
        for at in (0..old.len().saturating_sub(MIN_COPY - 1)).rev() {
            if let Ok(place) = u32::try_from(at) {
                places[hash(&old[at..at + MIN_COPY]) & mask] = place;
            }
        }
        Self(places)
    }

    fn find(&self, old: &[u8], new: &[u8], at: usize) -> Option<(usize, usize)> {
        let bytes = new.get(at..at + MIN_COPY)?;
        let place = *self.0.get(hash(bytes) & (self.0.len() - 1))?;
        let place = usize::try_from(place).ok().filter(|_| place != NO_POSITION)?;
        let length = common_prefix(old, place, new, at);
        (length >= MIN_COPY).then_some((place, length))
    }
}

fn hash(bytes: &[u8]) -> usize {
    let hash = bytes.iter().fold(0_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let upper = (hash >> 32) as u32;
    upper as usize
}

fn write_length(written: &mut Vec<u8>, number: usize) {
    write_varint(written, number as u64);
}

fn write_varint(written: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            return written.push(low);
        }
        written.push(low | 0x80);
    }
}

fn write_offset(written: &mut Vec<u8>, from: usize, expected: usize) {
    let (ahead, distance) = (from >= expected, from.abs_diff(expected) as u64);
    write_varint(written, if ahead { distance << 1 } else { (distance << 1) - 1 });
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn read_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(read_varint(rest)?).ok()
}

fn read_offset(rest: &mut &[u8], expected: usize) -> Option<usize> {
    let number = read_varint(rest)?;
    let distance = usize::try_from((number >> 1) + (number & 1)).ok()?;
    if number & 1 == 0 { expected.checked_add(distance) } else { expected.checked_sub(distance) }
}

#[cfg(test)]
mod tests;
