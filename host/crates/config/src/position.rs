//! Line numbers of values in a YAML text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step on the way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// A key of a mapping.
    Name(&'a str),
    /// A position in a list.
    Index(usize),
}

/// Returns the line of the value at `path`, counted from 1.
///
/// The YAML library reports positions only in errors, so this reads the text until the value and fails there.
pub(crate) fn line_of(text: &str, path: &[Key<'_>]) -> Option<usize> {
    let error = FailAt(path).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.location().map(|location| location.line())
}

/// Deserializes nothing; fails at the value with this path.
struct FailAt<'a>(&'a [Key<'a>]);

impl FailAt<'_> {
    fn found<E: Error>() -> E {
        E::custom("found")
    }
}

impl<'de> DeserializeSeed<'de> for FailAt<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FailAt<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Key::Name(name), rest)) = self.0.split_first() else { return Err(Self::found()) };
        while let Some(key) = map.next_key::<serde_yaml::Value>()? {
            if key.as_str() == Some(name) {
                map.next_value_seed(FailAt(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Key::Index(index), rest)) = self.0.split_first() else { return Err(Self::found()) };
        for _ in 0..*index {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(FailAt(rest))?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(Self::found())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(Self::found())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(Self::found())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(Self::found())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(Self::found())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(Self::found())
    }
}

#[cfg(test)]
mod tests {
    use super::Key::{Index, Name};
    use super::*;

    #[test]
    fn line_of_finds_values_in_any_style() {
        let text = "a: 1\nb:\n  - x\n  - {c: 2,\n     d: true}\ne: [1,\n 2]\nf: |\n  text\ng: {}\n";

        assert_eq!(line_of(text, &[Name("a")]), Some(1));
        assert_eq!(line_of(text, &[Name("b"), Index(0)]), Some(3));
        assert_eq!(line_of(text, &[Name("b"), Index(1), Name("c")]), Some(4));
        assert_eq!(line_of(text, &[Name("b"), Index(1), Name("d")]), Some(5));
        assert_eq!(line_of(text, &[Name("e"), Index(1)]), Some(7));
        assert_eq!(line_of(text, &[Name("f")]), Some(8));
        assert_eq!(line_of(text, &[Name("g")]), Some(10));
        assert_eq!(line_of(text, &[Name("h")]), None);
    }
}
