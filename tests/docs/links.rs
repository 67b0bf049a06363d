//! Links between the pages of the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, process};

use regex::Regex;

use super::repository;

/// Returns the Markdown files that git tracks, without the templates of projects, whose links lead elsewhere.
fn pages() -> Vec<PathBuf> {
    let listed = process::Command::new("git").args(["ls-files", "*.md"]).current_dir(repository("")).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let files = String::from_utf8(listed.stdout).unwrap();
    files.lines().filter(|path| !path.starts_with("templates/")).map(PathBuf::from).collect()
}

/// Returns the anchors of a page's headings, as GitHub and mdBook form them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let markdown = fs::read_to_string(page).unwrap();
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
            kept.map(|it| if it == ' ' { '-' } else { it }).collect()
        })
        .collect()
}

#[test]
fn lead_to_files_and_headings() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for page in pages() {
        let markdown = fs::read_to_string(repository("").join(&page)).unwrap();
        for found in link.captures_iter(&markdown) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let source = repository("").join(&page);
            let file = if path.is_empty() { source } else { source.parent().unwrap().join(path) };
            if !file.exists() || !(anchor.is_empty() || anchors(&file).contains(anchor)) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}
