//! What the sources are called on pages that need no token.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::source::SourceName;

/// A name for each source, in their order. That of a command is its program alone, such as
/// `exec:python3`: what else it says is its owner's affair, and may hold a key. Programs that several
/// sources start have a number besides: `exec:python3#2`.
pub(super) fn public_names<'a>(sources: impl Iterator<Item = &'a SourceName>) -> Vec<String> {
    let names: Vec<Cow<'_, str>> = sources.map(public_name).collect();
    let mut sharing = HashMap::new();
    for name in &names {
        *sharing.entry(name).or_insert(0) += 1;
    }
    let mut so_far = HashMap::new();
    let numbered = names.iter().map(|name| {
        if sharing[name] == 1 {
            return name.to_string();
        }
        let number = so_far.entry(name).or_insert(0);
        *number += 1;
        format!("{name}#{number}")
    });
    numbered.collect()
}

/// Without a number: several commands may have the same.
fn public_name(source: &SourceName) -> Cow<'_, str> {
    match source.as_str().strip_prefix("exec:") {
        Some(command) => format!("exec:{}", program(command)).into(),
        None => source.as_str().into(),
    }
}

/// What a command starts, without its path. A first word that is more than a path, such as
/// `KEY='a b' ./bot`, means something to the shell only, so that is what it starts.
fn program(command: &str) -> &str {
    let word = command.split_whitespace().next().unwrap_or_default();
    let is_path = word
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "/._+-".contains(char));
    match word.rsplit('/').next() {
        Some(program) if is_path && !program.is_empty() => program,
        _ => "sh",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_command_strangers_see_the_program() {
        for (command, shown) in [
            ("./bot --api-key=SECRET", "bot"),
            ("/opt/SECRET/bot.sh", "bot.sh"),
            ("  python3 -u a.py SECRET", "python3"),
            ("KEY=SECRET ./bot", "sh"),
            ("KEY='a SECRET' ./bot", "sh"),
            ("KEY=SECRET/b ./bot", "sh"),
            ("\"/opt/my SECRET/bot\"", "sh"),
            ("$SECRET", "sh"),
            ("(SECRET; b)", "sh"),
            ("SECRET/", "sh"),
        ] {
            let source = SourceName::from(format!("exec:{command}").as_str());
            let names = public_names([&source].into_iter());
            assert_eq!(names, [format!("exec:{shown}")], "{command}");
        }
    }

    #[test]
    fn no_two_sources_have_one_name() {
        let sources = [
            "stdin",
            "exec:python3 a.py",
            "exec:./b",
            "file:signals/*.jsonl",
            "exec:/usr/bin/python3 b.py",
            "exec:A=1 c",
        ];
        let sources = sources.map(SourceName::from);
        assert_eq!(
            public_names(sources.iter()),
            [
                "stdin",
                "exec:python3#1",
                "exec:b",
                "file:signals/*.jsonl",
                "exec:python3#2",
                "exec:sh",
            ]
        );
    }
}
