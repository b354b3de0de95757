//! As much of PromQL as it takes to see which metrics and labels a query names.

use std::iter::Peekable;
use std::str::Chars;

/// What a query names.
#[derive(Debug, Default)]
pub struct Names {
    pub series: Vec<Series>,
    /// Labels in `by (…)` and `without (…)`.
    pub grouped: Vec<String>,
}

/// A metric with what its labels must be.
#[derive(Debug)]
pub struct Series {
    pub metric: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
/// Words that stand without parentheses, or with `by (…)` between.
const WORDS: [&str; 9] = [
    "and", "or", "unless", "bool", "sum", "avg", "min", "max", "count",
];

pub fn names(query: &str) -> Names {
    let mut names = Names::default();
    let mut rest = query.chars().peekable();
    while let Some(&next) = rest.peek() {
        if next.is_ascii_digit() || next == '[' {
            skip(&mut rest, next);
        } else if next.is_ascii_alphabetic() || next == '_' {
            let word = word(&mut rest);
            blanks(&mut rest);
            match rest.peek() {
                Some('(') if GROUPING.contains(&word.as_str()) => {
                    let list: String = rest.by_ref().take_while(|&next| next != ')').collect();
                    let labels = list[1..].split(',').map(str::trim);
                    names.grouped.extend(labels.map(str::to_owned));
                }
                Some('(') => {}
                _ if WORDS.contains(&word.as_str()) => {}
                Some('{') => {
                    let matchers = matchers(&mut rest);
                    names.series.push(Series {
                        metric: word,
                        matchers,
                    });
                }
                _ => names.series.push(Series {
                    metric: word,
                    matchers: Vec::new(),
                }),
            }
        } else {
            rest.next();
        }
    }
    names
}

/// A number, with its unit if it has one, or what stands in brackets.
fn skip(rest: &mut Peekable<Chars<'_>>, first: char) {
    if first == '[' {
        rest.by_ref().find(|&next| next == ']');
    } else {
        while rest
            .next_if(|next| next.is_ascii_alphanumeric() || *next == '.')
            .is_some()
        {}
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
        word.push(next);
    }
    word
}

fn blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|next| next.is_whitespace()).is_some() {}
}

fn matchers(rest: &mut Peekable<Chars<'_>>) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    rest.next();
    loop {
        while rest
            .next_if(|next| next.is_whitespace() || *next == ',')
            .is_some()
        {}
        if rest.next_if_eq(&'}').is_some() {
            return matchers;
        }
        let label = word(rest);
        let mut operator = String::new();
        while let Some(next) = rest.next_if(|next| "=!~".contains(*next)) {
            operator.push(next);
        }
        assert_eq!(rest.next(), Some('"'), "a value in quotes after {label:?}");
        let value = rest.by_ref().take_while(|&next| next != '"').collect();
        matchers.push(Matcher {
            label,
            operator,
            value,
        });
    }
}
