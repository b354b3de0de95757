use super::segment::{FrameView, Segment};
use super::view::{Stale, Tests, View};
use super::write::Freshness;
use crate::signal::{Seq, Timestamp};

impl Segment {
    /// Its frames from this place on that somebody with this view gets; which are stale is judged
    /// at `now`. A symbol is looked at once, however many signals it has.
    pub fn passing<'a>(
        &'a self,
        from: Seq,
        view: &'a View,
        now: Timestamp,
    ) -> impl Iterator<Item = (FrameView<'a>, Freshness)> {
        let everything = view.is_everything();
        let symbols = if everything { &[] } else { self.symbols() };
        let passes: Vec<bool> = symbols
            .iter()
            .map(|symbol| view.passes(symbol.as_str()))
            .collect();
        self.from(from).filter_map(move |frame| {
            let wanted = everything
                || (passes[frame.symbol] && (!frame.is_test || view.tests == Tests::Sent));
            let freshness = match frame.stale_after {
                Some(stale_after) if stale_after <= now => Freshness::Stale,
                _ => Freshness::Fresh,
            };
            let wanted = wanted && (freshness == Freshness::Fresh || view.stale == Stale::Marked);
            wanted.then_some((frame, freshness))
        })
    }
}
