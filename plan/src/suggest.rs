//! What a misspelt name was meant to be.

/// The name among `names` that is nearest to `wrong`, if one is near enough to be meant: at most a
/// third of its characters differ. Of names that are equally near, the first.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = wrong.chars().count().div_ceil(3);
    let by_distance =
        names.map(|name| (distance(&wrong.to_lowercase(), &name.to_lowercase()), name));
    by_distance
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to say of a name that does not exist among `names`: the one that was meant, or else all.
pub(crate) fn hint<'a>(wrong: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// How many characters have to be inserted, removed, replaced, or exchanged with their neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Row i holds the distances of the first i characters of `a` to all beginnings of `b`.
    let (mut before_last, mut last): (Vec<usize>, Vec<usize>) =
        (Vec::new(), (0..=b.len()).collect());
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_changed_places_are_one_mistake() {
        assert_eq!(distance("temprature", "temperature"), 1);
        assert_eq!(distance("lowre", "lower"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn what_is_far_off_is_not_suggested() {
        let names = ["temperature", "humidity", "ts"];
        assert_eq!(nearest("Temprature", names.into_iter()), Some("temperature"));
        assert_eq!(nearest("pressure", names.into_iter()), None);
        assert_eq!(nearest("t", names.into_iter()), Some("ts"));
    }
}
