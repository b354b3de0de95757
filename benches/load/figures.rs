use std::collections::BTreeMap;

use serde_json::json;

/// What came out: for each case and each figure one value a round.
pub struct Figures {
    title: &'static str,
    json: bool,
    cases: Vec<(String, Vec<Figure>)>,
}

/// What is measured, and its value in each round.
type Figure = (&'static str, Vec<f64>);

impl Figures {
    pub fn new(title: &'static str, json: bool) -> Self {
        Self {
            title,
            json,
            cases: Vec::new(),
        }
    }

    /// What one run of a case showed.
    pub fn add(&mut self, case: &str, round: u64, values: &[(&'static str, f64)]) {
        let shown: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name} {}", short(*value)))
            .collect();
        eprintln!("{round} {case}: {}", shown.join(", "));
        if self.json {
            let values: BTreeMap<_, _> = values.iter().copied().collect();
            println!(
                "{}",
                json!({"bench": self.title, "case": case, "round": round, "figures": values})
            );
        }
        let index = self
            .cases
            .iter()
            .position(|(known, _)| known == case)
            .unwrap_or_else(|| {
                self.cases.push((case.to_owned(), Vec::new()));
                self.cases.len() - 1
            });
        let figures = &mut self.cases[index].1;
        for &(name, value) in values {
            match figures.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(value),
                None => figures.push((name, vec![value])),
            }
        }
    }

    /// Adds, for each round, what one case is of another.
    pub fn ratio(&mut self, name: &'static str, figure: &str, of: &str, to: &str) {
        let (Some(above), Some(below)) = (self.values(of, figure), self.values(to, figure)) else {
            return;
        };
        let ratios: Vec<f64> = above
            .iter()
            .zip(below)
            .map(|(above, below)| above / below)
            .collect();
        let case = self.cases.iter_mut().find(|(known, _)| known == of);
        if let Some((_, figures)) = case {
            figures.push((name, ratios));
        }
    }

    /// Prints a table of medians, smallest and largest values.
    pub fn print(&self) {
        if self.json || self.cases.is_empty() {
            return;
        }
        let mut columns: Vec<&str> = Vec::new();
        for (name, _) in self.cases.iter().flat_map(|(_, figures)| figures) {
            if !columns.contains(name) {
                columns.push(name);
            }
        }
        println!("\n{}: median (smallest–largest)\n", self.title);
        println!("| | {} |", columns.join(" | "));
        println!("|---|{}", "---|".repeat(columns.len()));
        for (case, figures) in &self.cases {
            let cell = |column: &&str| {
                let figure = figures.iter().find(|(name, _)| name == column);
                figure.map_or_else(|| "–".to_owned(), |(_, values)| spread(values))
            };
            let cells: Vec<String> = columns.iter().map(cell).collect();
            println!("| {case} | {} |", cells.join(" | "));
        }
    }

    fn values(&self, case: &str, figure: &str) -> Option<&[f64]> {
        let (_, figures) = self.cases.iter().find(|(known, _)| known == case)?;
        let (_, values) = figures.iter().find(|(known, _)| *known == figure)?;
        Some(values)
    }
}

/// The value below which this share of them lies (nearest rank).
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, reason = "a rank in a list")]
    let index = rank as usize - 1;
    values.get(index).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    let median = quantile(&mut sorted, 0.5);
    match (sorted.first(), sorted.last()) {
        (Some(least), Some(most)) if sorted.len() > 1 => {
            format!("{} ({}–{})", short(median), short(*least), short(*most))
        }
        _ => short(median),
    }
}

/// As many digits as a noisy machine's figures are worth.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => {
            let digits = format!("{value:.0}");
            let (head, tail) = digits.split_at(digits.len() - 3);
            if head.len() > 3 {
                let (millions, thousands) = head.split_at(head.len() - 3);
                return format!("{millions},{thousands},{tail}");
            }
            format!("{head},{tail}")
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}
