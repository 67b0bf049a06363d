//! Binary encoding of the state: little-endian numbers in sequence, which keeps the state small.

/// Encodes numbers as bytes.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Creates a writer with room for a typical state.
    pub fn new() -> Self {
        Self(Vec::with_capacity(24 * 1024))
    }

    /// Returns the bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Writes a 64-bit integer.
    pub fn write_u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    /// Writes a count as 16 bits, saturating.
    pub fn write_u16(&mut self, number: u32) {
        self.0.extend(u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes());
    }

    /// Writes a small count as 8 bits, saturating.
    pub fn write_u8(&mut self, number: usize) {
        self.0.push(u8::try_from(number).unwrap_or(u8::MAX));
    }

    /// Writes a number in single precision (seven digits).
    pub fn write_f32(&mut self, number: f64) {
        self.0.extend(to_f32(number).to_le_bytes());
    }

    /// Writes a number with two to three digits: the upper half of its single-precision form (bfloat16).
    pub fn write_bf16(&mut self, number: f64) {
        let bits = to_f32(number).to_bits();
        let rounded = bits.saturating_add(0x8000).to_le_bytes();
        self.0.extend([rounded[2], rounded[3]]);
    }
}

/// Decodes numbers from bytes; `None` at the end of the input or if a number is not finite.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Creates a reader at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reports whether all input was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// See [`Writer::write_u64`].
    pub fn read_u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// See [`Writer::write_u16`].
    pub fn read_u16(&mut self) -> Option<u32> {
        self.take().map(u16::from_le_bytes).map(u32::from)
    }

    /// See [`Writer::write_u8`].
    pub fn read_u8(&mut self) -> Option<usize> {
        self.take().map(|[byte]| usize::from(byte))
    }

    /// See [`Writer::write_f32`].
    pub fn read_f32(&mut self) -> Option<f64> {
        self.take().map(f32::from_le_bytes).map(f64::from).filter(|number| number.is_finite())
    }

    /// See [`Writer::write_bf16`].
    pub fn read_bf16(&mut self) -> Option<f64> {
        let [low, high] = self.take()?;
        Some(f64::from(f32::from_le_bytes([0, 0, low, high]))).filter(|number| number.is_finite())
    }
}

/// Returns the nearest number in single precision, saturating at the limits.
fn to_f32(number: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of f32")]
    let single = number.clamp(-1e38, 1e38) as f32;
    if single.is_nan() { 0.0 } else { single }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_numbers_are_read_back() {
        let mut writer = Writer::new();
        writer.write_u64(u64::MAX);
        writer.write_u16(70_000);
        writer.write_u8(300);
        writer.write_f32(1.5);
        writer.write_bf16(1.0);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);

        assert_eq!(reader.read_u64(), Some(u64::MAX));
        assert_eq!(reader.read_u16(), Some(65_535));
        assert_eq!(reader.read_u8(), Some(255));
        assert_eq!((reader.read_f32(), reader.read_bf16()), (Some(1.5), Some(1.0)));
        assert!(reader.is_empty() && reader.read_u8().is_none());
    }

    #[test]
    fn bf16_is_accurate_to_half_a_percent() {
        for number in [0.0, 1e-3, 0.3337, 1.0, 7.77, 49.9, -3.21, 1e30] {
            let mut writer = Writer::new();
            writer.write_bf16(number);
            let read = Reader::new(&writer.finish()).read_bf16().unwrap();

            assert!((read - number).abs() <= 0.005 * number.abs(), "{number} became {read}");
        }
    }

    #[test]
    fn non_finite_numbers_are_replaced_or_rejected() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            let mut writer = Writer::new();
            writer.write_f32(odd);
            writer.write_bf16(odd);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);

            assert!(reader.read_f32().is_some() && reader.read_bf16().is_some(), "{odd}");
        }
        assert_eq!(Reader::new(&f32::NAN.to_le_bytes()).read_f32(), None);
    }
}
