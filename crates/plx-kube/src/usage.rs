//! What containers use, as the metrics API tells it.

use crate::{Cluster, KubeError};
use plx_contract::credential::Files;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Cores, over the last half minute or so.
    pub cores: f64,
    /// Bytes that cannot be taken from it (its working set).
    pub bytes: f64,
}

/// What the containers of a pod use.
#[derive(Debug, Clone, PartialEq)]
pub struct PodUsage {
    /// When it was measured, as the server wrote it: until it changes, nothing was.
    pub at: String,
    /// By container.
    pub containers: BTreeMap<String, Usage>,
}

#[derive(Deserialize)]
struct PodMetrics {
    #[serde(default)]
    timestamp: String,
    containers: Option<Vec<ContainerMetrics>>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: BTreeMap<String, String>,
}

impl<F: Files> Cluster<F> {
    /// What the containers of a pod use; none where there is no metrics API, or where it does not know the pod (yet).
    ///
    /// # Errors
    /// When the server cannot be asked, refuses, or answers with something else.
    pub async fn usage(&self, pod: &str) -> Result<Option<PodUsage>, KubeError> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods/{pod}", self.namespace());
        let Some(found) = self.get(&path).await? else { return Ok(None) };
        let metrics: PodMetrics = serde_json::from_value(found).map_err(|_| KubeError::Refused {
            path,
            status: 200,
            said: "what came are no metrics".to_owned(),
        })?;
        let containers = metrics.containers.unwrap_or_default().into_iter().filter_map(|container| {
            let number = |name: &str| quantity(container.usage.get(name)?);
            let usage = Usage { cores: number("cpu")?, bytes: number("memory")? };
            Some((container.name, usage))
        });
        Ok(Some(PodUsage { at: metrics.timestamp, containers: containers.collect() }))
    }
}

/// The number that a quantity of Kubernetes is: `250m` is 0.25, `128974848n` is 0.128974848, `1Ki` is 1024.
///
/// ```
/// # use plx_kube::quantity;
/// assert_eq!(quantity("500Mi"), Some(524_288_000.0));
/// assert_eq!(quantity("0.1"), Some(0.1));
/// assert_eq!(quantity("much"), None);
/// ```
pub fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    // `1e3` and `1E` are both quantities.
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, suffix) = text.split_at(at);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_in_all_their_spellings() {
        for (text, want) in [
            ("0", 0.0),
            ("2", 2.0),
            ("250m", 0.25),
            ("1500000n", 0.0015),
            ("12u", 0.000_012),
            ("1k", 1000.0),
            ("1e3", 1000.0),
            ("1Gi", 1_073_741_824.0),
            ("1.5Mi", 1_572_864.0),
            ("2E", 2e18),
        ] {
            let found = quantity(text).expect(text);
            assert!((found - want).abs() <= want * 1e-12, "{text}: {found}");
        }
        for text in ["", "m", "1Zi", "1 Gi x", "NaN", "inf"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
