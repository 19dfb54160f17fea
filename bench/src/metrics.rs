//! Figures that the services count themselves, between two looks.

use std::collections::HashMap;

use anyhow::Result;

use crate::stack::Stack;

/// Sum and count of each histogram with its labels, as they stood at a moment.
#[derive(Debug, Default)]
pub struct Look(HashMap<String, f64>);

impl Look {
    /// Reads the metrics of orchestrator and provisioner.
    pub async fn at(stack: &Stack) -> Result<Self> {
        let mut figures = HashMap::new();
        for text in stack.metrics().await? {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                if let Some((series, value)) = line.rsplit_once(' ')
                    && let Ok(value) = value.parse::<f64>()
                {
                    *figures.entry(series.to_owned()).or_default() += value;
                }
            }
        }
        Ok(Self(figures))
    }

    /// What series of that name whose labels hold `label` gained since `before`.
    pub fn gained(&self, before: &Self, name: &str, label: &str) -> f64 {
        let name = format!("{name}{{");
        let series = self
            .0
            .iter()
            .filter(|(series, _)| series.starts_with(&name) && series.contains(label));
        // The sum of none is -0.
        series
            .map(|(series, value)| value - before.0.get(series).copied().unwrap_or_default())
            .sum::<f64>()
            + 0.0
    }

    /// How many times a histogram gained since `before`.
    pub fn count(&self, before: &Self, histogram: &str, label: &str) -> f64 {
        self.gained(before, &format!("{histogram}_count"), label)
    }

    /// The bound in milliseconds that `part` of what a histogram gained since `before` does not exceed.
    pub fn quantile(&self, before: &Self, histogram: &str, label: &str, part: f64) -> f64 {
        let name = format!("{histogram}_bucket");
        let wanted = part * self.count(before, histogram, label);
        let mut bounds: Vec<f64> = self
            .0
            .keys()
            .filter(|series| series.starts_with(&name) && series.contains(label))
            .filter_map(|series| series.split_once("le=\"")?.1.split_once('"')?.0.parse().ok())
            .collect();
        bounds.sort_unstable_by(f64::total_cmp);
        let reached = bounds.into_iter().find(|bound| {
            let series = self.0.keys().filter(|series| {
                series.starts_with(&name) && series.contains(label) && series.contains(&format!("le=\"{bound}\""))
            });
            let below: f64 = series
                .map(|series| self.0[series] - before.0.get(series).copied().unwrap_or_default())
                .sum();
            below >= wanted
        });
        reached.unwrap_or(f64::NAN) * 1_000.0
    }

    /// The mean in milliseconds of what a histogram gained since `before`, over all series whose labels hold `label`.
    pub fn mean(&self, before: &Self, histogram: &str, label: &str) -> f64 {
        self.gained(before, &format!("{histogram}_sum"), label) / self.count(before, histogram, label) * 1_000.0
    }
}
