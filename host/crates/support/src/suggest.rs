//! Suggestions for mistyped words.

/// Minimum Jaro-Winkler similarity of a suggestion.
const MIN_SIMILARITY: f64 = 0.75;

/// Returns the known word that is most similar to an unknown one; `None` if none is similar.
pub fn suggest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(word, unknown), word))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_similar_word_is_suggested() {
        let known = ["step", "target-tracking", "target"];

        assert_eq!(suggest("target-traking", known), Some("target-tracking"));
        assert_eq!(suggest("targt", known), Some("target"));
        assert_eq!(suggest("xyz", known), None);
    }
}
