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

    /// The mean in milliseconds of what a histogram gained since `before`, over all series whose labels hold `label`.
    pub fn mean(&self, before: &Self, histogram: &str, label: &str) -> f64 {
        let gained = |suffix: &str| -> f64 {
            let name = format!("{histogram}_{suffix}{{");
            let series = self
                .0
                .iter()
                .filter(|(series, _)| series.starts_with(&name) && series.contains(label));
            series
                .map(|(series, value)| value - before.0.get(series).copied().unwrap_or_default())
                .sum()
        };
        gained("sum") / gained("count") * 1_000.0
    }
}
