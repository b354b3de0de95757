//! Keys by which somebody seems to say that a signal is a test. `is_test` is the one that counts:
//! another is a slip, and a slip must not make a test a live signal.

use super::value::Value;

/// Whether this member seems to say so: its key reads like `is_test`, and it does not say no.
pub(super) fn is_in(key: &str, value: &Value<'_>) -> bool {
    !says_no(key, value) && reads_like_is_test(key)
}

/// `is_test` itself says no by `false` alone, as everywhere; the sender's own keys also by what
/// stands for that elsewhere.
fn says_no(key: &str, value: &Value<'_>) -> bool {
    match value {
        Value::Bool(is) => !is,
        Value::Null => key != "is_test",
        Value::Number(number) => number.text == "0" && key != "is_test",
        Value::String(_) | Value::Nested(_) => false,
    }
}

/// `test`, `isTest`, `is-test`, and `is_test` with a letter too many, one too few, or two swapped.
/// One that is another letter makes words: `is_best`, `is_text`.
fn reads_like_is_test(key: &str) -> bool {
    // Most keys are told apart by this, and nothing is allocated for them.
    let has = |letter: u8| key.bytes().any(|byte| byte.eq_ignore_ascii_case(&letter));
    if key.len() > MOST_BYTES || !has(b's') || !has(b't') {
        return false;
    }
    let letters: String = key
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let is_one_slip = strsim::osa_distance(&letters, IS_TEST) <= 1;
    letters == "test" || (is_one_slip && !has_another_letter(&letters))
}

/// Whether it is as long as `istest` and made of other letters.
fn has_another_letter(letters: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let (letters, meant) = (sorted(letters), sorted(IS_TEST));
    letters.len() == meant.len() && letters != meant
}

const IS_TEST: &str = "istest";

/// Room for signs between the letters.
const MOST_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_other_words() {
        for key in [
            "is_test",
            "test",
            "Test",
            "TEST",
            "isTest",
            "IsTest",
            "istest",
            "IS-TEST",
            "is test",
            "is.test?",
            "_is_test_",
            "is_tset",
            "si_test",
            "is_tets",
            "is_tes",
            "s_test",
            "is_testt",
            "is_ttest",
            "is_tests",
        ] {
            assert!(reads_like_is_test(key), "{key}");
        }
        for key in [
            "",
            "type",
            "tests",
            "testing",
            "test_id",
            "tested",
            "latest",
            "fastest",
            "best",
            "is_best",
            "is_text",
            "is_last",
            "is_set",
            "is_first",
            "strategy",
            "list",
            "st",
            "ist",
            "isTestnet",
            "test_run_of_somebody",
            "тест",
        ] {
            assert!(!reads_like_is_test(key), "{key}");
        }
    }
}
