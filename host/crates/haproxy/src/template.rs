//! Renders the servers to configuration text with a Tera template.
//!
//! The head of the built-in template, `templates/haproxy.cfg.tera`, documents the available variables. A template
//! cannot read files or the environment, and its output passes through [`escape`], which fails on anything that could
//! have a special meaning to HAProxy.

use std::error::Error as _;
use std::path::Path;

use tera::{Context, ErrorKind, Kwargs, State, Tera, Value};

use crate::desired_server::DesiredServer;
use crate::error::HaProxyError;
use crate::escape;
use crate::options::TemplateContext;

/// The built-in template, used by default and as a starting point for custom templates.
pub const BUILT_IN_TEMPLATE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../templates/haproxy.cfg.tera"));

/// The name of the built-in template in errors.
const BUILT_IN_NAME: &str = "the built-in template";

/// Maximum size of a template, more than any configuration needs.
const MAX_TEMPLATE_BYTES: u64 = 4 << 20;

/// A parsed template.
#[derive(Debug)]
pub(super) struct Template {
    tera: Tera,
    name: String,
}

impl Template {
    /// Reads and parses the template at `path`, or the built-in one.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, HaProxyError> {
        let Some(path) = path else { return Self::parse(BUILT_IN_NAME, BUILT_IN_TEMPLATE) };
        let name = path.display().to_string();
        let cannot_read = |source| HaProxyError::File { action: "read", path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(cannot_read)?.len();
        if size > MAX_TEMPLATE_BYTES {
            let message = format!("the template has {size} bytes; the maximum is {MAX_TEMPLATE_BYTES}");
            return Err(HaProxyError::Template { file: name, line: None, message });
        }
        let bytes = std::fs::read(path).map_err(cannot_read)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            HaProxyError::Template { file: name.clone(), line: Some(line), message: "invalid UTF-8".into() }
        })?;
        Self::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, HaProxyError> {
        let mut tera = Tera::new();
        // Every name ends with the empty string, so all output is checked.
        tera.autoescape_on([""]);
        tera.set_escape_fn(escape::print);
        tera.register_filter("haproxy_name", |text: &str, _: Kwargs, _: &State<'_>| {
            fail_closed(text, escape::is_name(text), "a name: letters, digits and ._:-")
        });
        tera.register_filter("haproxy_path", |text: &str, _: Kwargs, _: &State<'_>| {
            fail_closed(text, escape::is_path(text), "an absolute path of letters, digits and ._-/")
        });
        tera.register_filter("haproxy_address", |text: &str, _: Kwargs, _: &State<'_>| {
            escape::address(text).map_err(tera::Error::message)
        });
        tera.register_filter("haproxy_comment", |text: &str, _: Kwargs, _: &State<'_>| escape::comment(text));
        tera.add_raw_template(name, text).map_err(|error| template_error(name, &error))?;
        Ok(Self { tera, name: name.to_owned() })
    }

    /// Returns the name of this template in errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Renders the configuration of `servers`.
    pub(super) fn render(&self, setup: &TemplateContext, servers: &[DesiredServer]) -> Result<String, HaProxyError> {
        let failed = |error| template_error(&self.name, &error);
        let mut context = Context::from_serialize(setup).map_err(failed)?;
        context.insert_value("servers", Value::try_from_serializable(servers).map_err(failed)?);
        self.tera.render(&self.name, &context).map_err(failed)
    }
}

fn fail_closed(text: &str, passes: bool, what: &str) -> Result<String, tera::Error> {
    if passes { Ok(text.to_owned()) } else { Err(tera::Error::message(format!("{text:?} is not {what}"))) }
}

fn template_error(name: &str, error: &tera::Error) -> HaProxyError {
    let (line, message) = match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            (Some(report.span().start_line), report.message().to_owned())
        }
        // Errors of the escape function, for which Tera reports no line.
        ErrorKind::Io(_) => (None, error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        _ => (None, error.to_string()),
    };
    HaProxyError::Template { file: name.to_owned(), line, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::test_support::server;

    fn render(template: &str) -> Result<String, HaProxyError> {
        let options = Options::new("/etc/haproxy/haproxy.cfg");
        let setup = TemplateContext::new(&options, &options.state_file)?;
        Template::parse("own.cfg.tera", template)?.render(&setup, &DesiredServer::from_servers(&[server(7)], 80)?)
    }

    fn message(template: &str) -> String {
        render(template).unwrap_err().to_string()
    }

    #[test]
    fn parse_error_includes_the_line() {
        insta::assert_snapshot!(message("global\n{% for x in %}\n"), @"own.cfg.tera:2: Found `%}` but expected one of: integer, float, string, bool, ident, `-`, `not`, `<`, `{`, `[` or `(`");
    }

    #[test]
    fn undefined_variable_is_an_error_with_its_line() {
        insta::assert_snapshot!(message("global\n\n  {{ secret }}\n"), @"own.cfg.tera:3: Variable `secret` is not defined. Available variables: backend, bind, check_interval, fast_check_interval, fleet, health_path, log, maxconn, prometheus_bind, run_as, server_port, servers, slow_start, state_file, stats_socket, timeouts");
    }

    #[test]
    fn filters_fail_closed_with_their_line() {
        insta::assert_snapshot!(message("\n{{ 'web 10.9.9.9:1 backup #' | haproxy_name }}"), @r#"own.cfg.tera:2: "web 10.9.9.9:1 backup #" is not a name: letters, digits and ._:-"#);
        insta::assert_snapshot!(message("{{ '0.0.0.0' | haproxy_address }}"), @r#"own.cfg.tera:1: "0.0.0.0" is not the IP address of a host"#);
        insta::assert_snapshot!(message("{{ '../x' | haproxy_path }}"), @r#"own.cfg.tera:1: "../x" is not an absolute path of letters, digits and ._-/"#);
    }

    #[test]
    fn unfiltered_output_is_checked_too() {
        insta::assert_snapshot!(message("{{ 'x\nhttp-request return' }}"), @r#"own.cfg.tera: "x\nhttp-request return" is not allowed in HAProxy's configuration"#);
        insta::assert_snapshot!(message("{% set a = '${SECRET}' %}{{ a }}"), @r#"own.cfg.tera: "${SECRET}" is not allowed in HAProxy's configuration"#);
    }

    #[test]
    fn comment_is_sanitized() {
        assert_eq!(render("# {{ 'a\nb ${c}' | haproxy_comment }}").unwrap(), "# a_b___c_");
    }

    #[test]
    fn template_cannot_read_the_environment() {
        assert!(render("{{ get_env(name='PATH') }}").is_err());
        assert!(render("{% include '/etc/hostname' %}").is_err());
    }
}
