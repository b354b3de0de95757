//! What was typed for `replay`.

use super::typed::Typed;
use crate::config::{Config, Problem};
use crate::replay::{Options, Point};

/// How fast it goes unless told otherwise.
pub(super) const SPEED: &str = "1x";

/// What to replay; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>, config: Config) -> Option<Options> {
    let from = point(typed, "from");
    if from == Ok(None) {
        typed.refuse(
            "FROM",
            "is missing",
            "write the seq of the first signal, such as 1, or a time such as 2026-11-20T10:00:00Z",
        );
    }
    let to = point(typed, "to");
    if let (Ok(Some(from)), Ok(Some(to))) = (from, to)
        && is_before(to, from)
    {
        typed.refuse("TO", "is before FROM", "write the earlier one first");
    }
    let speed = typed.parsed("speed", SPEED, str::parse);
    Some(Options {
        data_dir: config.data_dir,
        from: from.ok()??,
        to: to.ok()?,
        speed: speed?,
    })
}

fn point(typed: &mut Typed<'_>, name: &str) -> Result<Option<Point>, ()> {
    let Some(text) = typed.once(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|problem: Problem| {
        let thing = name.to_ascii_uppercase();
        typed.refusals.push(problem.with(thing));
    })
}

/// Whether that can be told without the log.
fn is_before(one: Point, other: Point) -> bool {
    match (one, other) {
        (Point::Seq(one), Point::Seq(other)) => one < other,
        (Point::Time(one), Point::Time(other)) => one < other,
        (Point::Seq(_), Point::Time(_)) | (Point::Time(_), Point::Seq(_)) => false,
    }
}
