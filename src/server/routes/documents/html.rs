//! A page of Markdown as HTML.

use std::collections::HashMap;

use pulldown_cmark::html::push_html;
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

/// How the page looks.
pub(super) const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn page(markdown: &str) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>signalcast: protocol</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    page.push_str(&body(markdown));
    page.push_str("</body>\n</html>\n");
    page
}

fn body(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    name_headings(&mut events);
    let mut is_kept = true;
    let events = events.into_iter().filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            let link = target(&dest_url).map(link);
            is_kept = link.is_some();
            link
        }
        Event::End(TagEnd::Link) => is_kept.then_some(event),
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        other => Some(other),
    });
    let mut html = String::with_capacity(2 * markdown.len());
    push_html(&mut html, events);
    html
}

/// Gives each heading the name by which links find it, as GitHub and editors do.
fn name_headings(events: &mut [Event<'_>]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for start in 0..events.len() {
        if !matches!(events[start], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let words = events[start..]
            .iter()
            .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = words
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        let mut name = anchor(&text);
        let before = seen.entry(name.clone()).or_default();
        if *before > 0 {
            name = format!("{name}-{before}");
        }
        *before += 1;
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[start] {
            *id = Some(name.into());
        }
    }
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

/// Where a link of the page leads on this server; `None`: nowhere, for it is to another file of
/// the repository.
fn target(link: &str) -> Option<CowStr<'static>> {
    let is_served = ["#", "https://"]
        .iter()
        .any(|start| link.starts_with(start));
    match link {
        "openapi.yaml" => Some("/openapi.yaml".into()),
        "asyncapi.yaml" => Some("/asyncapi.yaml".into()),
        _ => is_served.then(|| link.to_owned().into()),
    }
}

fn link(target: CowStr<'_>) -> Event<'_> {
    Event::Start(Tag::Link {
        link_type: LinkType::Inline,
        dest_url: target,
        title: CowStr::Borrowed(""),
        id: CowStr::Borrowed(""),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What stands between these on the page, each time.
    fn all<'a>(page: &'a str, before: &str, after: &str) -> Vec<&'a str> {
        page.split(before)
            .skip(1)
            .map(|rest| rest.split_once(after).unwrap().0)
            .collect()
    }

    #[test]
    fn headings_are_found_by_the_names_that_links_use() {
        let html =
            body("# Close codes\n\n## `listen`, *always*\n\n## `listen`: always\n\n## Zwölf_1");
        assert_eq!(
            all(&html, "id=\"", "\""),
            ["close-codes", "listen-always", "listen-always-1", "zwölf_1"]
        );
    }

    #[test]
    fn links_to_what_is_not_served_are_words() {
        for (markdown, html) in [
            ("[a](#b)", r##"<p><a href="#b">a</a></p>"##),
            (
                "[a](https://b.org/)",
                r#"<p><a href="https://b.org/">a</a></p>"#,
            ),
            (
                "[a](openapi.yaml)",
                r#"<p><a href="/openapi.yaml">a</a></p>"#,
            ),
            ("[a `b`](durability.md#c)", "<p>a <code>b</code></p>"),
            (
                "[a](../examples) [b](#c)",
                r##"<p>a <a href="#c">b</a></p>"##,
            ),
            ("[a](javascript:b)", "<p>a</p>"),
            ("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>"),
            ("<div>\n</div>", "&lt;div&gt;\n&lt;/div&gt;"),
        ] {
            assert_eq!(body(markdown).trim_end(), html, "{markdown}");
        }
    }

    #[test]
    fn every_link_of_the_protocol_leads_somewhere() {
        let page = page(include_str!("../../../../docs/protocol.md"));
        let names: Vec<&str> = all(&page, " id=\"", "\"");
        let known: HashSet<&str> = names.iter().copied().collect();
        assert_eq!(known.len(), names.len(), "two headings with one name");
        let links = all(&page, "href=\"", "\"");
        assert!(links.len() > 40, "{links:?}");
        for link in links {
            let is_served = ["/openapi.yaml", "/asyncapi.yaml"].contains(&link);
            let leads = link.strip_prefix('#').map(|name| known.contains(name));
            assert!(
                leads.unwrap_or(is_served || link.starts_with("https://")),
                "{link}"
            );
        }
    }

    #[test]
    fn nothing_on_the_page_needs_more_than_its_policy_allows() {
        let page = page(include_str!("../../../../docs/protocol.md"));
        for needs in [
            "<script", "<img", "<iframe", " style=", " onclick", "@import", "url(",
        ] {
            assert!(!page.contains(needs), "{needs}");
        }
        assert_eq!(page.matches("<style>").count(), 1);
    }
}
