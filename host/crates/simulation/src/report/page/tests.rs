use super::*;

#[test]
fn external_text_is_escaped() {
    let mut context = Context::new();
    for name in ["style", "script", "data"] {
        context.insert(name, "expanded");
    }
    for name in ["columns", "facts", "policies"] {
        context.insert(name, &[""; 0]);
    }
    context.insert("rows", &[["<b onclick='x'>{{data}}&"]]);
    let page = render(&context).unwrap();
    assert!(page.contains(r#"<th scope="row">&lt;b onclick=&#39;x&#39;&gt;{{data}}&amp;</th>"#), "{page}");
    let text = embed_json(&json!("</script><script>alert(1)"));
    assert!(!text.contains('<'), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!("</script><script>alert(1)"));
}

#[test]
fn step_line_has_one_point_per_step() {
    assert_eq!(step_points(&[2, 2, 3, 3, 3, 1]), [(0, 2), (2, 3), (5, 1)]);
    assert!(step_points(&[]).is_empty());
}

#[test]
fn page_loads_no_external_resources() {
    for part in [include_str!("../page.html"), include_str!("../chart.js"), include_str!("../style.css")] {
        for word in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
            assert!(!part.contains(word), "{word}");
        }
    }
}
