//! The command-line reference: every visible command with its usage, options and examples.

use clap::{Arg, Command};

use crate::cli::generate_reference::markdown::{code, page as page_of, table};

/// Returns the page.
pub(super) fn page(mut command: Command) -> String {
    command = command.disable_help_subcommand(true);
    command.build();
    let mut text = String::from("## Global options\n\n");
    text += &table(["option", "meaning", "default"], &rows(&command, true));
    for subcommand in command.get_subcommands() {
        section(subcommand, 2, &mut text);
    }
    page_of("cli.md", include_str!("../../../../templates/reference/cli.md"), &text)
}

fn section(command: &Command, level: usize, text: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    *text += &format!("\n{} {name}\n\n", "#".repeat(level));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        *text += &format!("{}\n\n", sentence(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    *text += &format!("```text\n{}\n```\n", usage.trim_start_matches("Usage: "));
    let options = table(["argument or option", "meaning", "default"], &rows(command, false));
    if !options.is_empty() {
        *text += &format!("\n{options}");
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        *text += &format!("\n{}", after_help(&after.to_string()));
    }
    for subcommand in command.get_subcommands() {
        section(subcommand, level + 1, text);
    }
}

/// Formats the text below the options: paragraphs, and indented examples as a block.
fn after_help(after: &str) -> String {
    let mut paragraphs = Vec::new();
    for paragraph in after.split("\n\n") {
        match paragraph.split_once(":\n") {
            Some((title @ ("Example" | "Examples"), lines)) => {
                let lines: Vec<&str> = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                paragraphs.push(format!("{title}:\n\n```text\n{}\n```\n", lines.join("\n")));
            }
            _ => paragraphs.push(format!("{}\n", paragraph.replace('\n', " "))),
        }
    }
    paragraphs.join("\n")
}

/// Returns a row for each visible argument; either the global ones or the command's own.
fn rows(command: &Command, global: bool) -> Vec<[String; 3]> {
    command
        .get_arguments()
        .filter(|arg| arg.is_global_set() == global && !arg.is_hide_set() && !is_built_in(arg))
        .map(|arg| [signature(arg), meaning(arg), default(arg)])
        .collect()
}

/// Reports whether clap adds the argument to every command.
fn is_built_in(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn signature(arg: &Arg) -> String {
    let value = || arg.get_value_names().map_or_else(|| "VALUE".to_owned(), |names| names.join(" "));
    let takes_value = arg.get_action().takes_values();
    let repeats = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "…" } else { "" };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    match (short, long) {
        (None, None) => code(&format!("{}{repeats}", value())),
        (short, long) => {
            let names: Vec<String> = short.into_iter().chain(long).collect();
            let value = if takes_value { format!(" {}{repeats}", value()) } else { String::new() };
            code(&format!("{}{value}", names.join(", ")))
        }
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = sentence(&help);
    if arg.get_action().takes_values() {
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| code(value.get_name()))
            .collect();
        if !values.is_empty() {
            text += &format!(" One of {}.", values.join(", "));
        }
    }
    if let Some(variable) = arg.get_env() {
        text += &format!(" Environment: `{}`.", variable.to_string_lossy());
    }
    text
}

/// Returns a text with the period that clap removes from the end of short help.
fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<String> = arg.get_default_values().iter().map(|value| code(&value.to_string_lossy())).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_visible_command_has_a_section_and_an_example() {
        fn check(command: &Command, page: &str) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let name = command.get_bin_name().unwrap_or_default();
                assert!(page.contains(&format!("# {name}\n")), "{name}");
                check(command, page);
            }
        }
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();

        check(&command, &page(Cli::command()));
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
        }
    }

    #[test]
    fn examples_become_a_block() {
        let text = after_help("Reads\nthe log.\n\nExamples:\n  doproxy a\n  doproxy b   note");

        assert_eq!(text, "Reads the log.\n\nExamples:\n\n```text\ndoproxy a\ndoproxy b   note\n```\n");
    }
}
