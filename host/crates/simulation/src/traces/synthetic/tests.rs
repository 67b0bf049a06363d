use super::*;

fn rates(text: &str, hours: u64) -> Vec<f64> {
    let generator: Generator = text.parse().unwrap();
    generator.trace(Duration::from_mins(30), Duration::from_hours(hours), 7).rates
}

#[test]
fn shapes_are_summed() {
    assert_eq!(rates("constant:rate=5+step:from=0,to=2,at=1h", 2), [5.0, 5.0, 7.0, 7.0]);
    assert_eq!(rates("ramp:from=0,to=4,length=2h", 2), [0.5, 1.5, 2.5, 3.5]);
    assert_eq!(rates("spike:at=30m,height=9,length=30m,every=1h", 2), [0.0, 9.0, 0.0, 9.0]);
}

#[test]
fn diurnal_has_configured_peak_and_mean() {
    let day = rates("diurnal:mean=100,swing=0.5,peak=14h", 24);

    let highest = day.iter().copied().fold(0.0, f64::max);
    assert!((day.iter().sum::<f64>() / 48.0 - 100.0).abs() < 1e-9);
    assert!((day[28] - highest).abs() < 0.2 && highest <= 150.0, "{day:?}");
}

#[test]
fn noise_is_seeded_and_scaled() {
    let generator: Generator = "constant:rate=1000+noise:share=0.1".parse().unwrap();
    let trace = |seed| generator.trace(Duration::from_secs(1), Duration::from_hours(3), seed).rates;

    let (one, other) = (trace(1), trace(2));

    assert_eq!(one, trace(1));
    assert_ne!(one, other);
    let variance = one.iter().map(|rate| (rate - 1000.0).powi(2)).sum::<f64>() / to_f64(one.len() as u64);
    assert!((variance.sqrt() - 100.0).abs() < 3.0, "{}", variance.sqrt());
}

#[test]
fn invalid_expression_is_rejected_with_alternatives() {
    for (text, wanted) in [
        (
            "flat:rate=3",
            "\"flat:rate=3\" is not a valid trace: unknown shape \"flat\"; expected one of: constant, step, ramp, diurnal, spike, noise",
        ),
        (
            "constant:speed=3",
            "\"constant:speed=3\" is not a valid trace: unknown setting \"speed\"; expected one of: rate",
        ),
        ("constant:rate=fast", "\"constant:rate=fast\" is not a valid trace: rate is \"fast\", which is not a number"),
        ("constant:rate=1+spike:at=1h", "\"spike:at=1h\" is not a valid trace: missing height"),
    ] {
        assert_eq!(text.parse::<Generator>().unwrap_err().to_string(), wanted);
    }
    assert!(Generator::is_generator("constant:rate=1") && !Generator::is_generator("constant.csv"));
}
