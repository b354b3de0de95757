//! Hooks: doors for senders that can't set headers and have shapes of their own. What a body means
//! is worked out here; nothing here does I/O but for the loading of secrets, and no clock is read.

mod body;
mod made_id;
mod mapping;
mod name;
mod pointer;
mod secret;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::signal::{RefusedLine, SideWords, Signal, TimeUnit, Timestamp};
use crate::source::SourceName;

pub use mapping::{Mapping, Place, Unmapped};
pub use name::{HookName, InvalidHookName};
pub use pointer::{InvalidPointer, Pointer};
pub use secret::Secret;

/// One hook, as the settings describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: HookName,
    /// What its sender shows.
    pub secret: Secret,
    /// Where its sender is; empty: anywhere.
    pub allow: Vec<IpNet>,
    /// How its sender's bodies are read.
    pub reading: Reading,
}

/// How the bodies of a sender are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Where the parts of a signal are in its JSON. None: each line is one as in a feed.
    pub mapping: Option<Mapping>,
    /// What it says for buy and sell.
    pub words: SideWords,
}

/// All hooks of a server. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    hooks: Arc<[Hook]>,
    warnings: Arc<[String]>,
}

/// Why a request finds no hook. The answer is the same for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHook {
    /// None has this name.
    Name,
    /// It has another secret.
    Secret,
    /// It is not for this address.
    Address,
}

impl NoHook {
    /// All that [`Self::reason`] may say.
    pub const REASONS: [&str; 3] = [
        Self::Name.reason(),
        Self::Secret.reason(),
        Self::Address.reason(),
    ];

    /// The word for whoever counts.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Name => "unknown_hook",
            Self::Secret => "hook_secret",
            Self::Address => "hook_address",
        }
    }
}

impl Hooks {
    /// These hooks, each with a name of its own, and what an operator should know of their secrets.
    pub fn new(hooks: Vec<Hook>, warnings: Vec<String>) -> Self {
        Self {
            hooks: hooks.into(),
            warnings: warnings.into(),
        }
    }

    /// What an operator should know of the secrets, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The hook of this name for somebody at this address who shows this secret.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str, secret: &[u8], address: IpAddr) -> Result<&Hook, NoHook> {
        // Always, so that the time it takes tells nothing.
        let shown = Secret::of(secret);
        let hook = self.hooks.iter().find(|hook| hook.name.as_str() == name);
        let hook = hook.ok_or(NoHook::Name)?;
        if hook.secret != shown {
            return Err(NoHook::Secret);
        }
        if !hook.is_for(address) {
            return Err(NoHook::Address);
        }
        Ok(hook)
    }
}

impl Hook {
    /// What its signals name as their source: `hook:NAME`.
    pub fn source(&self) -> SourceName {
        SourceName::from(&*format!("hook:{}", self.name))
    }

    /// The signals in a body, each with the number of its line, the first being 1, and with an id.
    /// A body is one JSON text, on however many lines, or else a signal on each line.
    ///
    /// # Errors
    /// One of the lines is no signal, or there is none: all of them that are wrong.
    pub fn read(
        &self,
        body: &[u8],
        unit: TimeUnit,
        received_at: Timestamp,
    ) -> Result<Vec<(usize, Signal)>, Vec<RefusedLine>> {
        body::read(self, body, unit, received_at)
    }

    fn is_for(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&address))
    }
}
