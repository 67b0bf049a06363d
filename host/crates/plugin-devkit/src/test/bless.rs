//! Updates the expectations in a fixture to the actual results, without changing anything else in the file.

use std::fs;

use crate::test::expectation::Expectation;
use crate::test::fixture::{Fixture, FixtureError, FixtureFile, to_yaml};
use crate::test::runner::FixtureRun;

/// Replaces expectations that differ from the actual results. Returns whether the file was changed.
pub fn bless(file: &FixtureFile, run: &FixtureRun) -> Result<bool, FixtureError> {
    let invalid = |message: &str| FixtureError::Invalid { path: file.path.clone(), message: message.to_owned() };
    let blessed: Vec<Option<Expectation>> = run
        .ticks
        .iter()
        .map(|tick| (!tick.is_expected || !tick.mismatches.is_empty()).then(|| Expectation::from_actual(&tick.actual)))
        .collect();
    if blessed.iter().all(Option::is_none) {
        return Ok(false);
    }
    let text =
        fs::read_to_string(&file.path).map_err(|source| FixtureError::Read { path: file.path.clone(), source })?;
    let mut wanted = file.fixture.clone();
    let changed = if wanted.ticks.is_empty() {
        let expect = blessed.into_iter().flatten().next().unwrap_or_default();
        wanted.expect = Some(expect.clone());
        with_expect(&text, &expect, 0)
    } else {
        for (tick, expect) in wanted.ticks.iter_mut().zip(&blessed) {
            if let Some(expect) = expect {
                tick.expect = Some(expect.clone());
            }
        }
        with_ticks(&text, &blessed).ok_or_else(|| {
            invalid("to bless `ticks`, write them as a block list (`- observation: …`), not in flow style (`- {…}`)")
        })?
    };
    // Parse the edited text before it replaces the file.
    let read: Option<Fixture> = serde_yaml::from_str(&changed).ok();
    if read.as_ref() != Some(&wanted) {
        return Err(invalid("unsupported layout for inserting an expectation; write `expect` by hand"));
    }
    fs::write(&file.path, changed).map_err(|source| FixtureError::Write { path: file.path.clone(), source })?;
    Ok(true)
}

/// Returns `text` with this `expect`, replacing the existing one at `indent`, or else appended at the end.
fn with_expect(text: &str, expect: &Expectation, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut block = vec![format!("{margin}expect:")];
    let written = to_yaml(expect).unwrap_or_default();
    block.extend(written.lines().map(|line| format!("{margin}  {line}")));

    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| line.starts_with(&format!("{margin}expect:")));
    let begin =
        begin.unwrap_or_else(|| lines.len() - lines.iter().rev().take_while(|line| line.trim().is_empty()).count());
    let is_within = |line: &&str| line.trim().is_empty() || line.starts_with(&format!("{margin} "));
    let mut end = (begin + 1).min(lines.len());
    end += lines[end..].iter().take_while(|line| is_within(line)).count();
    // Blank lines belong to the following item.
    while end > begin + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    let mut changed: Vec<String> = lines[..begin].iter().map(ToString::to_string).collect();
    changed.extend(block);
    changed.extend(lines[end..].iter().map(ToString::to_string));
    changed.join("\n") + "\n"
}

/// Returns `text` with these expectations in its `ticks`; `None` if a tick is not in block style.
fn with_ticks(text: &str, blessed: &[Option<Expectation>]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let ticks = lines.iter().position(|line| line.trim_end() == "ticks:")?;
    let first = ticks + 1 + lines[ticks + 1..].iter().position(|line| line.trim_start().starts_with("- "))?;
    let indent = lines[first].len() - lines[first].trim_start().len();
    let dash = format!("{}- ", " ".repeat(indent));
    let end = (first..lines.len())
        .find(|&at| {
            let line = lines[at];
            let depth = line.len() - line.trim_start().len();
            !line.trim().is_empty() && depth <= indent && !line.starts_with(&dash) && !line.trim().starts_with('#')
        })
        .unwrap_or(lines.len());
    let begins: Vec<usize> = (first..end).filter(|&at| lines[at].starts_with(&dash)).collect();
    if begins.len() < blessed.len() || begins.iter().any(|&at| lines[at][dash.len()..].trim_start().starts_with('{')) {
        return None;
    }
    let mut changed: Vec<String> = lines[..first].iter().map(ToString::to_string).collect();
    for (place, &begin) in begins.iter().enumerate() {
        let until = begins.get(place + 1).copied().unwrap_or(end);
        let mut item = lines[begin..until].join("\n");
        if let Some(Some(expect)) = blessed.get(place) {
            // Replace the dash by a space, so that the item is an ordinary mapping.
            item.replace_range(indent..=indent, " ");
            item = with_expect(&item, expect, indent + 2);
            item.replace_range(indent..=indent, "-");
        }
        changed.push(item.trim_end_matches('\n').to_owned());
    }
    changed.extend(lines[end..].iter().map(ToString::to_string));
    Some(changed.join("\n") + "\n")
}

#[cfg(test)]
mod tests;
