//! Command-line settings such as `at=12h,height=300`.

/// `key=value` pairs.
pub(super) struct KeyValues<'a>(Vec<(&'a str, &'a str)>);

impl<'a> KeyValues<'a> {
    /// Parses `text`. Every key must be one of `known`.
    pub(super) fn parse(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').ok_or(format!("{pair:?} is not KEY=VALUE"))?;
            if known.contains(&key.trim()) {
                Ok((key.trim(), value.trim()))
            } else {
                Err(format!("unknown setting {key:?}; expected one of: {}", known.join(", ")))
            }
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// Returns a number, or `None` if the key is absent.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let parse = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        self.text(key).map(|text| parse(text).ok_or(format!("{key} is {text:?}, which is not a number"))).transpose()
    }

    /// Returns a duration in seconds, or `None` if the key is absent.
    pub(super) fn duration(&self, key: &str) -> Result<Option<f64>, String> {
        let parse = |text: &str| {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
            seconds.or_else(|| text.parse::<jiff::SignedDuration>().ok().map(|time| time.as_secs_f64()))
        };
        self.text(key).map(|text| parse(text).ok_or(format!("{key} is {text:?}, which is not a duration"))).transpose()
    }

    /// Returns a required number.
    pub(super) fn required_number(&self, key: &str) -> Result<f64, String> {
        self.number(key)?.ok_or(format!("missing {key}"))
    }

    /// Returns a required duration in seconds.
    pub(super) fn required_duration(&self, key: &str) -> Result<f64, String> {
        self.duration(key)?.ok_or(format!("missing {key}"))
    }
}
