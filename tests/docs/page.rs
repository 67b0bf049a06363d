//! Shell blocks of a Markdown page.

use std::fs;

use super::repository;

/// A page of the documentation, reduced to its shell blocks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The path in the repository.
    pub(super) path: String,
    /// The word of `<!-- test: WORD -->`.
    pub(super) needs: Option<String>,
    pub(super) commands: Vec<Command>,
    pub(super) scripts: Vec<Script>,
}

/// A command of a `console` block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) text: String,
    /// The lines below it; none if the output is not compared.
    pub(super) expected: Vec<String>,
}

/// A block marked `sh,no_run`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Page {
    pub(super) fn read(path: &str) -> Self {
        let markdown = fs::read_to_string(repository(path)).unwrap();
        Self::parse(path, &markdown).unwrap_or_else(|why| panic!("{path}:{why}"))
    }

    /// Returns an error with its line for a shell block of another form, which would remain untested.
    fn parse(path: &str, markdown: &str) -> Result<Self, String> {
        let mut page = Self { path: path.to_owned(), needs: None, commands: Vec::new(), scripts: Vec::new() };
        let mut lines = (1..).zip(markdown.lines());
        while let Some((line, text)) = lines.next() {
            if let Some(word) = text.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->")) {
                page.needs = Some(word.to_owned());
            }
            let Some(language) = text.trim_start().strip_prefix("```") else { continue };
            let indent = text.len() - text.trim_start().len();
            let block: Vec<(usize, &str)> = lines
                .by_ref()
                .take_while(|(_, text)| text.trim() != "```")
                .map(|(line, text)| (line, text.get(indent..).unwrap_or_default()))
                .collect();
            match language {
                "console" => page.commands.extend(commands(&block)?),
                "sh,no_run" => {
                    let text = block.iter().flat_map(|(_, text)| [text, "\n"]).collect();
                    page.scripts.push(Script { line, text });
                }
                "sh" | "bash" | "shell" | "shell-session" => {
                    return Err(format!("{line}: a `{language}` block; use `console`, or `sh,no_run` with a reason"));
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

/// Splits a `console` block into commands.
fn commands(block: &[(usize, &str)]) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            commands.push(Command { line: *line, text: command.to_owned(), expected: Vec::new() });
            continue;
        }
        let Some(last) = commands.last_mut() else {
            return Err(format!("{line}: a `console` block starts with a command after `$ `"));
        };
        match text.strip_prefix('>') {
            Some(rest) if last.expected.is_empty() && (rest.is_empty() || rest.starts_with(' ')) => {
                last.text += "\n";
                last.text += rest.strip_prefix(' ').unwrap_or_default();
            }
            _ => last.expected.push((*text).to_owned()),
        }
    }
    Ok(commands)
}

mod parse {
    use super::{Command, Page, Script};

    #[test]
    fn splits_blocks_into_commands_and_output() {
        let markdown = "<!-- test: fleet -->\n1. A list:\n\n   ```console\n   $ cat <<END\n   > a\n   >\n   > END\n   a\n   $ true\n   ```\n\n```sh,no_run\nreboot\n```\n\n```text\n$ untested\n```\n";

        let page = Page::parse("a.md", markdown).unwrap();

        let cat = Command { line: 5, text: "cat <<END\na\n\nEND".into(), expected: vec!["a".into()] };
        let truth = Command { line: 10, text: "true".into(), expected: vec![] };
        let scripts = vec![Script { line: 13, text: "reboot\n".into() }];
        let expected = Page { path: "a.md".into(), needs: Some("fleet".into()), commands: vec![cat, truth], scripts };
        assert_eq!(page, expected);
    }

    #[test]
    fn rejects_shell_blocks_that_would_not_run() {
        let why = Page::parse("a.md", "\n```sh\ntrue\n```\n").unwrap_err();
        assert!(why.starts_with("2: a `sh` block"), "{why}");
        let why = Page::parse("a.md", "```console\ntrue\n```\n").unwrap_err();
        assert!(why.starts_with("2: a `console` block starts"), "{why}");
    }
}
