//! Pagination of a list: `page`, `per_page`, `links` and `meta`.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::cloud::ApiError;

/// The query parameters of a call, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// Returns a parameter; an empty one counts as missing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, otherwise: usize, most: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(otherwise) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| ApiError::Invalid(format!("{name} must be a number from 1 to {most}, not {text:?}.")))
    }

    fn with_page(&self, page: usize) -> String {
        let others = self.0.iter().filter(|(name, _)| name != "page");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &page.to_string());
        query.extend_pairs(others);
        query.finish()
    }
}

/// Returns one page of `items` under the key `name`, in the API's format. `url` is the URL of the list, without a
/// query.
pub(super) fn page<T>(
    name: &str,
    items: &[T],
    query: &Query,
    url: &str,
    render: impl FnMut(&T) -> Value,
) -> Result<Value, ApiError> {
    let per_page = query.number("per_page", 20, 200)?;
    let page = query.number("page", 1, 1_000_000)?;
    let last = items.len().div_ceil(per_page).max(1);
    let shown: Vec<Value> = items.iter().skip((page - 1) * per_page).take(per_page).map(render).collect();

    let link = |page: usize| Value::String(format!("{url}?{}", query.with_page(page)));
    let mut pages = Map::new();
    if page > 1 {
        pages.insert("first".to_owned(), link(1));
        pages.insert("prev".to_owned(), link(page.min(last + 1) - 1));
    }
    if page < last {
        pages.insert("next".to_owned(), link(page + 1));
        pages.insert("last".to_owned(), link(last));
    }
    let links = if pages.is_empty() { json!({}) } else { json!({ "pages": pages }) };
    Ok(json!({ name: shown, "links": links, "meta": { "total": items.len() } }))
}
