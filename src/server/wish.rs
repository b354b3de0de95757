use std::net::IpAddr;

use super::gate::Gate;
use super::newcomer::{Place, Subscriber};
use super::past::{Past, Start};
use super::pending::OpeningHandle;
use super::query::{self, Query};
use super::refusal::Refusal;
use crate::auth::Principal;
use crate::hub::{Framing, View};
use crate::signal::{Protocol, Seq};

/// What somebody wants who wants to be a client.
#[derive(Debug)]
pub(super) struct Wish {
    protocol: Protocol,
    framing: Framing,
    asked: Query,
    /// Where it is, which may be behind a proxy.
    pub(super) address: IpAddr,
}

impl Wish {
    /// What a query says that comes from there, to a door where this is spoken.
    pub(super) fn parse(
        query: &str,
        protocol: Protocol,
        framing: Framing,
        address: IpAddr,
    ) -> Result<Self, Refusal> {
        let asked = Query::parse(query, query::OF_UPGRADES)?;
        asked.fits(protocol)?;
        Ok(Self {
            protocol,
            framing,
            asked,
            address,
        })
    }

    /// Whether it says which log it speaks of.
    pub(super) fn names_log(&self) -> bool {
        self.asked.epoch.is_some()
    }

    /// The same, but from this place on.
    pub(super) fn beginning(mut self, start: Start) -> Self {
        self.asked.start = Some(start);
        self
    }

    /// A place for whoever this is, in the log and among the clients.
    pub(super) async fn grant(
        &self,
        gate: &Gate,
        principal: Principal,
        past: &Past,
        opening: &OpeningHandle,
    ) -> Result<Subscriber, Refusal> {
        let cursor = self.cursor(past, opening).await?;
        let view = self.view(&principal)?;
        let place = Place::Own(gate.admit(self.address)?);
        Ok(Subscriber {
            principal,
            place,
            address: self.address,
            view,
            cursor,
            log: past.range(),
        })
    }

    /// Its place in the log: the first signal that it is sent.
    pub(super) async fn cursor(
        &self,
        past: &Past,
        opening: &OpeningHandle,
    ) -> Result<Seq, Refusal> {
        let start = self.asked.start.unwrap_or(Start::Live);
        let first = past.first(start, self.asked.epoch.as_deref());
        opening.while_ours(first).await
    }

    /// What it gets.
    pub(super) fn view(&self, principal: &Principal) -> Result<View, Refusal> {
        Ok(View {
            framing: self.framing,
            ..self.asked.view(self.protocol, principal)?
        })
    }
}
