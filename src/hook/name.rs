use std::fmt;
use std::str::FromStr;

/// What a hook is called, in its URL, in the settings and as the source of its signals.
///
/// 1 to 32 of `a-z 0-9 _`: fit for a flag, a variable and a path alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookName(Box<str>);

/// A text that is no name of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no name for a hook; write 1 to {most} of a-z 0-9 _", most = HookName::MOST)]
pub struct InvalidHookName;

impl HookName {
    const MOST: usize = 32;

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HookName {
    type Err = InvalidHookName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let fits = (1..=Self::MOST).contains(&text.len()) && text.bytes().all(is_allowed);
        fits.then(|| Self(text.into())).ok_or(InvalidHookName)
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_a_flag_a_variable_and_a_path() {
        for text in ["tv", "a", "_", "0", "trading_view_2", &"x".repeat(32)] {
            assert_eq!(text.parse::<HookName>().unwrap().as_str(), text);
        }
        for text in ["", "TV", "a-b", "a.b", "a b", "é", "a/", &"x".repeat(33)] {
            assert_eq!(text.parse::<HookName>(), Err(InvalidHookName), "{text}");
        }
    }
}
