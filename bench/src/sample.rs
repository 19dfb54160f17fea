//! Times, and what is told of them.

use std::time::Duration;

/// Times of one kind of event.
#[derive(Clone, Debug, Default)]
pub struct Sample(Vec<Duration>);

impl Sample {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Those of another sample too.
    pub fn join(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that `part` of all (0 to 1) do not exceed, in milliseconds; the nearest-rank method.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among some thousand"
    )]
    pub fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_one_of_the_times() {
        let mut sample = Sample::default();
        (1..=200).for_each(|millis| sample.add(Duration::from_millis(millis)));
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|part| sample.at(part)),
            [1.0, 100.0, 198.0, 200.0]
        );
        assert!(Sample::default().at(0.5).is_nan());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(
            (median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0])),
            (2.0, 2.5)
        );
    }
}
