use super::*;

fn schema() -> Value {
    serde_json::json!({ "properties": {
        "target": { "type": "number", "exclusiveMinimum": 0 },
        "window_s": { "type": "integer", "minimum": 0, "maximum": 3600 },
        "metric": { "type": "string" },
    }})
}

#[test]
fn range_comes_from_argument_or_schema() {
    let window = Parameter::parse("window_s", &schema()).unwrap();

    assert_eq!(window, Parameter { name: "window_s".into(), low: 0.0, high: 3600.0, is_integer: true });
    assert!((Parameter::parse("target=50..90", &schema()).unwrap().value_at(0.5) - 70.0).abs() < 1e-9);
    for (text, wanted) in [
        ("target", "target: no valid range; use target=LOW..HIGH"),
        ("target=9..5", "target=9..5: LOW must be less than HIGH"),
        ("metric=1..2", "metric is not a numeric setting of this policy; expected one of: target, window_s"),
    ] {
        assert_eq!(Parameter::parse(text, &schema()).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn wide_range_uses_logarithmic_scale() {
    let field = Parameter { name: "x".into(), low: 1.0, high: 10_000.0, is_integer: true };

    for (place, wanted) in [(0.0, 1.0), (0.25, 10.0), (0.5, 100.0), (0.75, 1000.0), (1.0, 10_000.0)] {
        assert!((field.value_at(place) - wanted).abs() < 1e-9, "{place}");
    }
}

#[test]
fn objective_is_parsed() {
    assert_eq!("unserved<=0.1%".parse(), Ok(Objective::Unserved(0.1)));
    assert_eq!("p99 <= 250ms".parse(), Ok(Objective::P99(250.0)));
    assert!("cheap".parse::<Objective>().is_err());
}
